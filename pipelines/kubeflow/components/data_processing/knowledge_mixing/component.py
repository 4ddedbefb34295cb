"""Knowledge mixing as a container component.

The same step as component.yaml, for repositories in which components are Python functions.
"""

from typing import List, Optional

import kfp.compiler
from kfp import dsl

IMAGE = "knowledge-mixing:0.1.0"
COMMAND = ["/usr/local/bin/knowledge-mixing", "kfp-step"]


@dsl.container_component
def knowledge_mixing(
    mixes: dsl.Output[dsl.Dataset],
    dataset: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    feasible_cuts: dsl.OutputPath(list),
    selected_cut: dsl.OutputPath(int),
    total_samples: dsl.OutputPath(int),
    total_tokens: dsl.OutputPath(int),
    dataset_uri: dsl.OutputPath(str),
    datasets: Optional[dsl.Input[dsl.Dataset]] = None,
    extractive_summary: Optional[dsl.Input[dsl.Dataset]] = None,
    detailed_summary: Optional[dsl.Input[dsl.Dataset]] = None,
    key_facts_to_qa: Optional[dsl.Input[dsl.Dataset]] = None,
    document_based_qa: Optional[dsl.Input[dsl.Dataset]] = None,
    input_uri: Optional[str] = None,
    output_uri: Optional[str] = None,
    overwrite: Optional[bool] = None,
    tokenizer_model: Optional[str] = None,
    tokenizer_rules: Optional[str] = None,
    cut_sizes: Optional[str] = None,
    qa_per_doc: Optional[str] = None,
    documents: Optional[str] = None,
    raw_documents: Optional[str] = None,
    save_gpt_oss_format: Optional[bool] = None,
    seed: Optional[str] = None,
    reasoning: Optional[str] = None,
    thinking: Optional[str] = None,
    unmask: Optional[str] = None,
    recipe: Optional[str] = None,
    chat_template: Optional[str] = None,
    max_seq_len: Optional[str] = None,
    max_tokens_per_gpu: Optional[str] = None,
    effective_batch_size: Optional[str] = None,
    gpus: Optional[str] = None,
    epochs: Optional[str] = None,
    block_size: Optional[str] = None,
    fail_on: Optional[str] = None,
    columns: Optional[str] = None,
    formats: Optional[str] = None,
    attention_mask: Optional[bool] = None,
    compression: Optional[str] = None,
    shuffle: Optional[bool] = None,
    infeasible_cuts: Optional[str] = None,
    bad_rows: Optional[str] = None,
    select_cut: Optional[str] = None,
    select_format: Optional[str] = None,
    threads: Optional[str] = None,
    max_retries: Optional[str] = None,
    retry_timeout: Optional[str] = None,
    log_format: Optional[str] = None,
):
    """Mix synthetic question-answer data into training files.

    All inputs are optional; an empty text counts as unset. Pass `datasets`, an artifact for each source, or
    `input_uri`. The step parses the whole executor input, so no other placeholder is used.

    Args:
        mixes: Folder with all files: every mix, manifest.json, metrics.json, report.html.
        dataset: The mix of the selected cut as one JSON Lines file, for the training step.
        metrics: The figures that one compares between runs; metrics.json in mixes has all.
        report: Report on the mixes, as one page.
        summary: The report in short.
        feasible_cuts: Cut sizes that the input can fill, ascending.
        selected_cut: Cut size of dataset.
        total_samples: Number of samples in dataset.
        total_tokens: Number of tokens in dataset.
        dataset_uri: URL or path of the selected mix: the artifact dataset, or its file below output_uri.
        datasets: Folder with one folder per source; wins over input_uri.
        extractive_summary: Rows of source extractive_summary; wins over datasets and input_uri.
        detailed_summary: Rows of source detailed_summary; wins over datasets and input_uri.
        key_facts_to_qa: Rows of source key_facts_to_qa; wins over datasets and input_uri.
        document_based_qa: Rows of source document_based_qa; wins over datasets and input_uri.
        input_uri: Folder or URL with the source folders, or a JSON list of several; the step reads it directly,
            nothing is copied.
        output_uri: Folder on a mounted volume or URL to write the mixes to; the artifact mixes then stays
            empty, and dataset_uri names the selected mix.
        overwrite: Replace files in the output that belong to no mix [default: false].
        tokenizer_model: Tokenizer of the model to train: a folder, a URL, a Hugging Face repository id, or
            builtin [default: RedHatAI/Llama-3.1-8B-Instruct].
        tokenizer_rules: Which rules make a tokenizer of its files [one of: auto, file] [default: auto].
        cut_sizes: Number of summaries per raw document in a mix; one mix per number [default: 5,50].
        qa_per_doc: Maximum number of question-answer pairs per sampled summary (a whole number, as a string)
            [default: 3].
        documents: Also write document mixes, for continued pretraining [one of: false, true, only] [default:
            false].
        raw_documents: Whether document mixes also hold the raw documents [one of: none, once] [default: none].
        save_gpt_oss_format: Drop rows whose question contains a placeholder left by gpt-oss teachers [default:
            false].
        seed: Seed of every random choice: a whole number from 0 to 9007199254740991 (a whole number, as a
            string) [default: 42].
        reasoning: Column with the teacher's reasoning: auto, none, a column, or a path into one [default:
            auto].
        thinking: Whether messages have the teacher's reasoning [one of: auto, always, never] [default: auto].
        unmask: Train on all messages but the system's instead of only on the assistant's [default: true for
            question-answer pairs, false for chats].
        recipe: Recipe: a file, a URL, or the YAML text itself.
        chat_template: Chat template to use instead of the tokenizer's own: a file or URL [default: the
            tokenizer's own].
        max_seq_len: Sequence length at which the trainer drops samples: those with this many tokens or more (a
            whole number, as a string).
        max_tokens_per_gpu: Tokens that a GPU takes at a time; the trainer drops longer samples from their batch
            (a whole number, as a string).
        effective_batch_size: Samples of a training step, over all GPUs (a whole number, as a string).
        gpus: Number of GPUs (a whole number, as a string).
        epochs: Number of epochs (a whole number, as a string).
        block_size: Tokens of a block in which the trainer reads documents (a whole number, as a string).
        fail_on: Fail if a figure is higher: NAME=LIMIT, such as dropped=1%; can be given several times.
        columns: Columns of each row [one of: full, training] [default: full].
        formats: Formats of the mixes, separated by commas; each mix is written in each of them [one of:
            messages, tokens, messages-parquet, tokens-parquet] [default: messages].
        attention_mask: Add attention_mask to the rows of tokens files [default: false].
        compression: Compression of the mixes [one of: none, gzip, zstd] [default: none].
        shuffle: Write rows in a random order, set by the seed, instead of source by source [default: false].
        infeasible_cuts: What to do with a cut size that the input cannot fill [one of: drop, keep, fail]
            [default: drop].
        bad_rows: What to do with a row that cannot be read, or that the chat template refuses [one of: fail,
            skip] [default: fail].
        select_cut: Cut whose mix the next step of a workflow gets, and whose totals are output parameters (a
            whole number, as a string) [default: the largest cut written].
        select_format: Format of the file that the next step of a workflow gets: one of --formats [one of:
            messages, tokens, messages-parquet, tokens-parquet] [default: the first of --formats].
        threads: Number of threads (a whole number, as a string) [default: the number of CPUs that the cgroup
            allows].
        max_retries: Maximum number of retries of a request to a storage service (a whole number, as a string)
            [default: 10].
        retry_timeout: Seconds after which a failed request is no longer retried (a whole number, as a string)
            [default: 180].
        log_format: Format of progress and warnings on standard error [one of: text, json] [default: text].
    """
    args = ["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]
    return dsl.ContainerSpec(image=IMAGE, command=COMMAND, args=args)


@dsl.container_component
def knowledge_mixing_lists(
    mixes: dsl.Output[dsl.Dataset],
    dataset: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    feasible_cuts: dsl.OutputPath(list),
    selected_cut: dsl.OutputPath(int),
    total_samples: dsl.OutputPath(int),
    total_tokens: dsl.OutputPath(int),
    dataset_uri: dsl.OutputPath(str),
    datasets: Optional[dsl.Input[List[dsl.Dataset]]] = None,
    extractive_summary: Optional[dsl.Input[List[dsl.Dataset]]] = None,
    detailed_summary: Optional[dsl.Input[List[dsl.Dataset]]] = None,
    key_facts_to_qa: Optional[dsl.Input[List[dsl.Dataset]]] = None,
    document_based_qa: Optional[dsl.Input[List[dsl.Dataset]]] = None,
    input_uri: Optional[str] = None,
    output_uri: Optional[str] = None,
    overwrite: Optional[bool] = None,
    tokenizer_model: Optional[str] = None,
    tokenizer_rules: Optional[str] = None,
    cut_sizes: Optional[str] = None,
    qa_per_doc: Optional[str] = None,
    documents: Optional[str] = None,
    raw_documents: Optional[str] = None,
    save_gpt_oss_format: Optional[bool] = None,
    seed: Optional[str] = None,
    reasoning: Optional[str] = None,
    thinking: Optional[str] = None,
    unmask: Optional[str] = None,
    recipe: Optional[str] = None,
    chat_template: Optional[str] = None,
    max_seq_len: Optional[str] = None,
    max_tokens_per_gpu: Optional[str] = None,
    effective_batch_size: Optional[str] = None,
    gpus: Optional[str] = None,
    epochs: Optional[str] = None,
    block_size: Optional[str] = None,
    fail_on: Optional[str] = None,
    columns: Optional[str] = None,
    formats: Optional[str] = None,
    attention_mask: Optional[bool] = None,
    compression: Optional[str] = None,
    shuffle: Optional[bool] = None,
    infeasible_cuts: Optional[str] = None,
    bad_rows: Optional[str] = None,
    select_cut: Optional[str] = None,
    select_format: Optional[str] = None,
    threads: Optional[str] = None,
    max_retries: Optional[str] = None,
    retry_timeout: Optional[str] = None,
    log_format: Optional[str] = None,
):
    """Mix synthetic question-answer data into training files.

    Takes a list of artifacts for each source and for `datasets`, as `dsl.Collected` gathers them from a loop. Their order
    means nothing. All else is as in `knowledge_mixing`.
    """
    args = ["--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]
    return dsl.ContainerSpec(image=IMAGE, command=COMMAND, args=args)


if __name__ == "__main__":
    kfp.compiler.Compiler().compile(knowledge_mixing, __file__.replace(".py", "_component.yaml"))
