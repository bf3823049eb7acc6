"""The Chinese of what stands in the pictures of the experiments: a pattern for each line of text, and its translation.

The words are those of the Chinese source documents where they have them.
"""

from jaxbp import viz

PHRASES = {
    # surfaces
    r"(\$.*\$|[^:]*): loss": r"\1:损失",
    r"(\$.*\$|[^:]*): (\d+) samples": r"\1:\2 个样本",
    r"NRMSE (\S+)   1 − R² (\S+)   ·   (\d+) samples, (\d+) parameters, (\d+) steps, seed (\d+)": (
        r"NRMSE \1   1 − R² \2   ·   \3 个样本,\4 个参数,\5 步,种子 \6"
    ),
    r"the tutorial's fit": "教程的拟合",
    r"this fit": "本程序的拟合",
    r"train": "训练",
    r"test": "测试",
    r"held out": "留出样本",
    r"variance": "方差",
    r"output layer solved at the start, held out": "开始时求解输出层,留出样本",
    r"output layer solved at the end, held out": "结束时求解输出层,留出样本",
    r"mean squared error, standardized": "均方误差(标准化)",
    r"mean squared error": "均方误差",
    r"The units of the last hidden layer that matter most \((\d+) of (\d+) units\)": (
        r"最后一个隐藏层中作用最大的结点(\2 个中的 \1 个)"
    ),
    r"The units of the last hidden layer that matter most": "最后一个隐藏层中作用最大的结点",
    r"Weights, their gradients at the end, their change since the start": "权重、结束时的梯度、自开始以来的变化",
    r"Layers through training": "训练过程中的各层",
    r"(.*): two ways to train (\S+)": r"\1:用两种方法训练 \2",
    r"the tutorial's descent": "教程的梯度下降",
    r"Gauss-Newton": "高斯-牛顿法",
    # walks and graphs
    r"(\S+) network, (\w+)(   .*)?": r"\1 网络,\2\3",
    r"(\S+) network, (\w+) and (\w+)(   .*)?": r"\1 网络,\2 与 \3\4",
    r"(\S+) sigmoid network: the node errors through gradient descent": r"\1 sigmoid 网络:梯度下降过程中的结点误差",
    r"outputs": "输出结点",
    r"hidden nodes": "隐藏结点",
    r"2-3-1 ReLU network: the mean of two numbers": "2-3-1 ReLU 网络:两个数的平均值",
    r"One example: inputs 0.1 and 0.3, target 0.2": "一个例子:输入 0.1 和 0.3,目标 0.2",
    r"first input": "第一个输入",
    r"second input": "第二个输入",
    r"mean": "平均值",
    r"(\d+) pairs, (\d+) steps, root mean square error (\S+)": r"\1 对数,\2 步,均方根误差 \3",
    r"apples: (\S+)": r"苹果:\1",
    r"apples and oranges: (\S+)": r"苹果和橘子:\1",
    r"apple": "苹果",
    r"apple_count": "苹果的个数",
    r"orange": "橘子",
    r"orange_count": "橘子的个数",
    r"tax": "消费税",
    # one layer and exclusive or
    r"One sigmoid layer learns a disjunction": "单层 sigmoid 网络学习或运算",
    r"chain rule": "链式法则",
    r"as printed": "按原文",
    r"corrected": "改正后",
    r"PyTorch twin": "PyTorch 版本",
    r"(\d+) seeds, (\d+) epochs": r"\1 个种子,\2 轮",
    r"(\d+) % of the seeds below": r"\1 % 的种子低于此线",
    r"2-2-1 sigmoid network, seed (\d+)": r"2-2-1 sigmoid 网络,种子 \1",
    r"epoch": "轮",
    r"Exclusive or, 2-2-1, three starts, seed (\d+)": r"异或,2-2-1,三种初始化,种子 \1",
    # digits
    r"iteration": "迭代次数",
    r"accuracy": "正确率",
    r"loss": "损失",
    r"(\d) taken for (\d)": r"\1 误认为 \2",
    r"Test images taken for others: (\d+) of (\d+)": r"认错的测试图像:\2 张中的 \1 张",
    # checks and mistakes
    r"Gradient check, (\S+), three images": r"梯度检验,\1,三幅图像",
    r"‖hand-written − judge‖ / ‖judge‖": "‖手写 − 参照‖ / ‖参照‖",
    r"central differences": "中心差分",
    r"complex step": "复数步长",
    r"central differences of (.*)": r"\1 的中心差分",
    r"Wrong formulas, as printed and as corrected": "错误的公式:按原文与改正后",
    r"one layer: no upstream gradient": r"单层网络:漏乘上游梯度",
    r"exclusive or: batch size divides twice": r"异或:两次除以样本数",
    r"surface fit: half or whole": r"曲面拟合:一半还是全部",
    r"surface fit: grid, not samples": r"曲面拟合:网格而非样本",
    r"digits: weights without 0\.01": r"手写数字:权重缺少 0.01",
    r"digits: log\(p \+ 1e-7\)": r"手写数字:log(p + 1e-7)",
    r"Break this: a mean squared error": "破坏一条规则:均方误差",
    r"Break this: three classes": "破坏一条规则:三个类别",
    r"angle to the gradient, degrees": "与梯度的夹角,度",
    r"length / gradient's": "长度 / 梯度的长度",
    r"loss, 2,000 steps": "2000 步后的损失",
    r"share of (\d+) starts that learn": r"\1 次初始化中学会的比例",
    r"length / printed loss's gradient": "长度 / 所印损失的梯度",
    r"squared error, (\d+) epochs": r"\1 轮后的平方误差",
    r"first loss": "最初的损失",
    r"relative difference on b2": "b2 的相对差",
    # judges of a gradient, and how its rounding grows
    r"Judges of a gradient, judged": "对梯度检验方法的检验",
    r"share of the wrong backward passes that it misses": "漏过的错误反向传播所占比例",
    r"share of (\d+) right ones that it accuses": r"\1 个正确的反向传播中被误判的比例",
    r"(float\d+), at a start ?": r"\1,训练开始时",
    r"(float\d+), nearly fitted ?": r"\1,接近拟合时",
    r"mean \|difference\| < (\S+)": r"平均 |差| < \1",
    r"float32 gradients against float64": "float32 梯度与 float64 梯度的比较",
    r"error / bound, by depth": "误差 / 误差界,按深度",
    r"error / bound, by width": "误差 / 误差界,按宽度",
    r"(\d+) layers?": r"\1 层",
    r"(\d+) to (\d+) layers": r"\1 至 \2 层",
    r"width (\d+) to (\d+)": r"宽度 \1 至 \2",
    r"median by hand": "手写,中位数",
    r"median by autodiff": "自动微分,中位数",
    r"largest by hand": "手写,最大",
    r"largest by autodiff": "自动微分,最大",
    # what the tutorials announce
    r"What reaches layer l of (\d+), width (\d+)": r"\1 层网络中传到第 l 层的误差,每层 \2 个结点",
    r"norm of the node errors / last layer's": "结点误差的范数 / 最后一层的范数",
    r"30 steps on x²/20 \+ y² from \(−7, 2\)": "x²/20 + y² 上自 (−7, 2) 起的 30 步",
    r"Optimizers on the target surface": "目标曲面上的各优化器",
    r"Descent for (\d+) steps \(hatched: diverged\)": r"下降 \1 步(斜线:发散)",
    r"100 samples with noise 0\.2": "100 个样本,噪声 0.2",
    r"none": "无",
    r"weight decay (\S+)": r"权重衰减 \1",
    r"dropout (\S+)": r"随机失活 \1",
    r"learning rate": "学习率",
    r"(\w+), rate (\S+)": r"\1,学习率 \2",
    r"normal, (\S+)": r"正态,\1",
    r"seed": "种子",
}


def say(text: str, lang: str) -> str:
    """The text in a language."""
    return viz.translator(lang, PHRASES)(text)
