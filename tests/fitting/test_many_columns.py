"""Tables with more columns than rows."""

import numpy as np
import pytest

import jaxbp


@pytest.mark.filterwarnings("ignore:.*far outside the data")
@pytest.mark.parametrize("num_columns", [6, 12])
def test_few_rows_of_many_columns_are_predicted_better_than_by_their_mean(num_columns):
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((15, num_columns))
    model = jaxbp.fit_model(rows, rows @ np.ones(num_columns), effort="low")
    new = generator.standard_normal((200, num_columns))
    true = new @ np.ones(num_columns)
    assert np.sqrt(np.mean((model(new) - true) ** 2)) < true.std()
