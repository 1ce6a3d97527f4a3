"""How good a model is: metrics, evaluations, the protocol behind them."""
