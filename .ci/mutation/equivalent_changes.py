"""Changes that `mutate.py` makes and no test can see, each looked at: a module, a piece of the
changed line, and why.

SAME: the program does the same. SPEED: it does the same sooner or later, or in more or less memory.
EFFORT: a number of
a table of how much is tried, of a prior or a margin, where the next number would be as good.
"""

SAME = (
    ("_interrupts.py", "daemon=False", "the thread ends when its pipe closes with the block"),
    (
        "_samples.py",
        "- 1) >= num_classes * unit",
        "a bound on rounding, which no sum meets exactly",
    ),
    (
        "data/images.py",
        "reshape(len(images), -2)",
        "NumPy takes any negative number for the size that is left",
    ),
    ("fitting/standardizing.py", "got {values[1, column]}", "all numbers of the column are equal"),
    ("fitting/bands.py", "<= 0.99 * best[1]", "radii are powers of the square root of 2 apart"),
    ("fitting/rows.py", "zip(fits, splits, strict=False)", "there is a fit for each split"),
    ("fitting/rows.py", "num_rows <= FEW", "a fifth of 100 is 20 by either rule"),
    (
        "fitting/units.py",
        "num <= 2 * num_rows",
        "a quotient of operations, which no even number meets",
    ),
    (
        "graph/tracing.py",
        "zip(moving, floats, strict=False)",
        "JAX passes as many numbers as it was given",
    ),
    ("jacobian.py", "range(num_strips + 2)", "the strip after the last is empty"),
    ("jacobian.py", "zip(residuals, errors, strict=False)", "both have an entry for each layer"),
    ("least_squares.py", "dtpqrt(1,", "a trapezoid of one row is a row"),
    ("training/shared_gram.py", "errors, strict=False)", "both have an entry for each layer"),
)
SPEED = (
    (
        "_layout.py",
        "NARROW_TILE_BYTES = 2 * 22",
        "tiles of 8,192 samples where they would be larger",
    ),
    ("_layout.py", "MANY, SHORT = (3 ** 15", "by which of two ways a sum is taken"),
    ("_layout.py", "num_samples < SHORT", "by which of two ways a sum is taken"),
    ("_layout.py", "array.size > MANY", "by which of two ways a sum is taken"),
    ("jacobian.py", "-num_samples * SAMPLES_OF_A_STRIP", "more strips than few samples need"),
    ("least_squares.py", "TILE = 4097", "samples whose activations are held at a time"),
    ("least_squares.py", "overwrite_a=False", "a copy more"),
    (
        "training/side_by_side.py",
        "if stop == 1 else",
        "whether one compiles before the others ask for the same",
    ),
)
EFFORT = (
    (
        "fitting/effort.py",
        "(512,), 60, 300, 10000000000.0, (((32, 32), 3),)",
        "starts of low effort",
    ),
    ("fitting/effort.py", "((32, 32), 9)", "starts of high effort"),
    ("fitting/effort.py", "3072), 201, 800", "evaluations of high effort"),
    ("fitting/spectrum.py", "5.0, 31.0", "the width of a prior that says next to nothing"),
    ("fitting/spectrum.py", "'maxcor': 21", "steps that L-BFGS remembers"),
    ("fitting/units.py", "effort.rows) else 1)", "an estimate of evaluations"),
    ("fitting/units.py", "TALL_UNITS = 2049", "units where rows are many"),
    ("fitting/units.py", "11 * num_rows ** 3", "an estimate of a decomposition's operations"),
    (
        "gradcheck/gradients.py",
        "4 * 2.0 ** (-53)",
        "an allowance that stands beside one for the truncation",
    ),
)


def reason(module: str, before: str, after: str) -> str | None:
    """The kind of a change that stands here and why it cannot be seen, None of any other."""
    for kind, changes in (("the same", SAME), ("speed", SPEED), ("effort", EFFORT)):
        for name, piece, why in changes:
            if module == f"jaxbp/{name}" and piece in after and piece not in before:
                return f"{kind}: {why}"
    return None
