"""Networks that denoise molecules, their training, and the samplers that generate with them."""
