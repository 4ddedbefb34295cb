"""Knowledge mixing as a container component.

The same step as component.yaml, for repositories in which components are Python functions.
"""

from typing import Optional

import kfp.compiler
from kfp import dsl

IMAGE = "knowledge-mixing:0.1.0"


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
    datasets: Optional[dsl.Input[dsl.Dataset]] = None,
    extractive_summary: Optional[dsl.Input[dsl.Dataset]] = None,
    detailed_summary: Optional[dsl.Input[dsl.Dataset]] = None,
    key_facts_to_qa: Optional[dsl.Input[dsl.Dataset]] = None,
    document_based_qa: Optional[dsl.Input[dsl.Dataset]] = None,
    input_uri: Optional[str] = None,
    output_uri: Optional[str] = None,
    tokenizer_model: Optional[str] = None,
    cut_sizes: Optional[str] = None,
    qa_per_doc: Optional[str] = None,
    save_gpt_oss_format: Optional[bool] = None,
    seed: Optional[str] = None,
    reasoning: Optional[str] = None,
    recipe: Optional[str] = None,
    chat_template: Optional[str] = None,
    columns: Optional[str] = None,
    compression: Optional[str] = None,
    shuffle: Optional[bool] = None,
    infeasible_cuts: Optional[str] = None,
    bad_rows: Optional[str] = None,
    select_cut: Optional[str] = None,
    threads: Optional[str] = None,
    max_retries: Optional[str] = None,
    retry_timeout: Optional[str] = None,
    log_format: Optional[str] = None,
):
    """Mixes synthetic question-answer data into training files: sample, format, count, repeatably.

    All inputs are optional; an empty text counts as unset. Pass `datasets`, an artifact for each source, or
    `input_uri`. The step parses the whole executor input, so no other placeholder is used.

    Args:
        mixes: The folder with all files: every mix, manifest.json, metrics.json, report.html.
        dataset: One file of JSON lines for the training step: the mix of the selected cut.
        metrics: Samples and tokens of each cut and source.
        report: What is in the mixes, as one page.
        summary: The same in short.
        feasible_cuts: The cut sizes that the input can fill, ascending.
        selected_cut: The cut size of dataset.
        total_samples: Samples in dataset.
        total_tokens: Tokens in dataset.
        datasets: Folder that holds a folder for each source; wins over input_uri.
        extractive_summary: Rows of the source extractive_summary alone; wins over datasets and input_uri.
        detailed_summary: Rows of the source detailed_summary alone; wins over datasets and input_uri.
        key_facts_to_qa: Rows of the source key_facts_to_qa alone; wins over datasets and input_uri.
        document_based_qa: Rows of the source document_based_qa alone; wins over datasets and input_uri.
        input_uri: Folder or URL that holds the source folders, or a JSON list of several; read by the step
            itself, so nothing is copied for it.
        output_uri: Folder on a mounted volume or URL to write the mixes to; mixes and dataset then stay empty
            and their metadata say where the files are.
        tokenizer_model: Tokenizer of the model to be trained: a folder, a URL, a Hugging Face repository id
            (REPO or REPO@REVISION), or builtin [default: RedHatAI/Llama-3.1-8B-Instruct].
        cut_sizes: How many summaries of each raw document a mix holds: one mix for each number. Comma-
            separated, or a JSON list [default: 5,50].
        qa_per_doc: At most so many question-answer pairs of each sampled summary (a whole number, as text)
            [default: 3].
        save_gpt_oss_format: Drop rows whose question still holds a placeholder (`...`, `<question>`, `<Insert
            question here>`), as gpt-oss teachers leave them. That is all it does: messages carry the `thinking`
            key of the gpt-oss template in any case [default: false].
        seed: Which summaries are sampled: 0 to 9007199254740991 (a whole number, as text) [default: 42].
        reasoning: Where the teacher's reasoning stands: auto, none, a column, or a path into one
            (response_dict.0.reasoning_content) [default: auto].
        recipe: Repeats, shares, budgets, filters, splits and further sources: a file, a URL, or the YAML
            itself.
        chat_template: A chat template to use instead of the tokenizer's own: a file or URL [default: the
            tokenizer's own].
        columns: The columns of each row: full, or training (messages, unmask, token_length: all that the
            trainer reads, an eighth of the bytes) [one of: full, training] [default: full].
        compression: How the mixes are compressed [one of: none, gzip, zstd] [default: none].
        shuffle: A seeded order of rows instead of the natural one [default: false].
        infeasible_cuts: What to do with a cut size that the input cannot fill [one of: drop, keep, fail]
            [default: drop].
        bad_rows: What to do with a row that cannot be read; skipped rows are listed in rejected.jsonl [one of:
            fail, skip] [default: fail].
        select_cut: The cut whose mix is handed on to the next step of a workflow, and whose totals are its
            output parameters (a whole number, as text) [default: the largest one written].
        threads: Threads to work with (a whole number, as text) [default: as many as the cgroup allows].
        max_retries: How often a request to a storage service is tried again (a whole number, as text) [default:
            10].
        retry_timeout: Seconds after which a request is no longer tried again (a whole number, as text)
            [default: 180].
        log_format: How progress and warnings are written to standard error [one of: text, json] [default:
            text].
    """
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["/usr/local/bin/knowledge-mixing", "kfp-step"],
        args=["--executor-input", "{{$}}"],
    )


if __name__ == "__main__":
    kfp.compiler.Compiler().compile(knowledge_mixing, __file__.replace(".py", "_component.yaml"))
