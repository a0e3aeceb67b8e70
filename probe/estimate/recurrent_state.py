"""What Mamba, linear attention, short convolutions and RWKV keep for each conversation in llama.cpp."""

from probe.estimate.llama_hparams import Hparams


def state_bytes_per_layer(h: Hparams, sequences: int) -> tuple[int, ...]:
    """Bytes of the F32 state of each layer; it does not grow with the context.

    Source: llama_hparams::n_embd_r and n_embd_s, src/llama-hparams.cpp#L175, and
        llama_memory_recurrent, src/llama-memory-recurrent.cpp#L20, llama.cpp b11434.
    """
    one = 4 * (h.conv_state + h.recurrent_state) * sequences
    more = 4 * h.gram_state * sequences
    return tuple(
        (one + more if layer in h.gram_layers else one) if recurrent else 0
        for layer, recurrent in enumerate(h.recurrent)
    )
