"""A random Llama of two layers with the vocabulary of the built-in tokenizer, small enough to train on a CPU."""
import published


def tokenizer():
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(published.ROOT / "assets" / "builtin-tokenizer"))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def model(hidden=64, seed=1):
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer()), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=1024, tie_word_embeddings=True)
    return transformers.LlamaForCausalLM(config)
