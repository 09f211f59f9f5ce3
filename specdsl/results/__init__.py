"""What runs amount to: their trials as samples, compared by tests that SciPy and statsmodels have.

`samples.py` says which trials count, `one_sample.py` and `two_samples.py` what is computed, `examples.py` what the test
examples add, `telling.py` and `verdicts.py` how it is told; `forms.py` gives it its forms.
"""
