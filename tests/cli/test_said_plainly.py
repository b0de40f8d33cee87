"""Small things that a user meets: what is said of a call that cannot be meant."""

from pathlib import Path

import pytest
import safetensors
import torch
from PIL import Image
from safetensors.torch import load_file, save

from tests.calls import wsipipe
from tests.synth import write_tiny_slide


@pytest.mark.parametrize("group", [(), ("evaluate",), ("classify",)])
def test_without_a_command_it_says_which_there_are(capsys, group: tuple[str, ...]) -> None:
    code, out, err = wsipipe(capsys, *group)
    assert code == 2
    assert out == ""
    assert err.startswith("Usage: wsipipe ")
    assert "Commands:\n" in err


def test_the_list_of_commands_is_not_cut_off(capsys) -> None:
    listed = wsipipe(capsys, "--help")[1].split("Commands:\n")[1].splitlines()
    assert len(listed) >= 15
    assert not any(line.endswith("...") for line in listed)


@pytest.mark.parametrize("command", ["classes", "doctor", "export", "label", "proportions", "report", "view"])
def test_an_output_that_is_not_there_is_wrong_usage(tmp_path: Path, capsys, command: str) -> None:
    more = {"export": ["--to", "csv"], "label": ["--model", "default"]}.get(command, [])
    code, _, err = wsipipe(capsys, command, tmp_path / "nope", *more)
    assert code == 2
    assert err.startswith("error: ")
    assert "does not exist" in err


def test_a_folder_is_no_slide(tmp_path: Path, capsys) -> None:
    (tmp_path / "slides").mkdir()
    code, _, err = wsipipe(capsys, "segment", tmp_path / "slides", "-o", tmp_path / "out", "--recipe", "toy")
    assert code == 1
    assert err == "error: slides: is a folder: name the slides in it, or give it to `wsipipe batch`\n"


def test_what_failed_may_be_tried_with_the_recipe_that_the_error_names(tmp_path: Path, capsys) -> None:
    call = ("segment", write_tiny_slide(tmp_path, "s.tiff"), "-o", tmp_path / "out", "--workers", "1")
    code, _, err = wsipipe(capsys, *call, "--recipe", "he-40x")
    assert code == 1
    assert "use --recipe default" in err
    assert wsipipe(capsys, *call, "--recipe", "default")[0] == 0
    code, _, err = wsipipe(capsys, *call, "--recipe", "he-40x")
    assert code == 2, "what is finished is not mixed with another recipe"
    assert "made with another recipe" in err


def test_a_resolution_may_have_a_comma_and_is_else_shown_how_to_write(tmp_path: Path, capsys) -> None:
    slide = write_tiny_slide(tmp_path, "s.tiff")
    assert "\nmpp: 0.252\n" in wsipipe(capsys, "info", slide, "--mpp", "0,252")[1]
    code, _, err = wsipipe(capsys, "info", slide, "--mpp", "0.25um")
    assert code == 2
    words = "Invalid value for '--mpp': '0.25um' is no number: write it like 0.25: see `wsipipe info --help`"
    assert err == f"error: wsipipe info: {words}\n"


def test_a_photograph_of_another_format_is_to_be_saved_as_png(tmp_path: Path, capsys) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.bmp")
    code, _, err = wsipipe(capsys, "info", tmp_path / "photo.bmp", "--mpp", "0.5")
    assert code == 1
    assert err.endswith(": save it as PNG, and give its microns per pixel with --mpp\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("command", ["run", "batch"])
def test_a_gpu_that_is_not_there_is_missed_before_any_work(tmp_path: Path, capsys, command: str) -> None:
    (tmp_path / "slides").mkdir()
    slide = write_tiny_slide(tmp_path / "slides", "s.tiff")
    source = slide if command == "run" else slide.parent
    code, _, err = wsipipe(capsys, command, source, "-o", tmp_path / "out", "--device", "cuda", "--workers", "1")
    assert code == 2
    assert err == "error: --device cuda: no CUDA device is usable here: leave the option out or say cpu\n"
    assert not (tmp_path / "out").exists()


def test_the_last_line_of_a_run_names_the_list_of_what_failed(tmp_path: Path, capsys) -> None:
    good, bad = write_tiny_slide(tmp_path, "s.tiff"), tmp_path / "bad.svs"
    bad.touch()
    rest = "and per slide cells.csv, cells.geojson and report.html"
    call = ("run", good, "-o", tmp_path / "out", "--recipe", "toy", "--workers", "1")
    code, _, err = wsipipe(capsys, *call, bad)
    assert code == 1
    assert err.splitlines()[-1] == f"out: proportions.csv, expected.csv, profiles.csv, failures.csv, {rest}"
    write_tiny_slide(tmp_path, "bad.svs", seed=1)
    code, _, err = wsipipe(capsys, *call, bad)
    assert code == 0
    assert err.splitlines()[-1] == f"out: proportions.csv, expected.csv, profiles.csv, {rest}"


@pytest.mark.parametrize(
    ("slide", "said"),
    [
        ("https://example.org/a.svs", "a: is an address, no file: copy the slide to a disk first"),
        ("slides/*.svs", "*: no file matches it: check the folder and the ending"),
        ("slides/a.svs", "a: cannot be read (No such file or directory): check the path and its permissions"),
    ],
)
def test_what_is_no_file(tmp_path: Path, capsys, slide: str, said: str) -> None:
    code, _, err = wsipipe(capsys, "segment", slide, "-o", tmp_path / "out", "--recipe", "toy")
    assert (code, err) == (1, f"error: {said}\n")


def test_a_table_is_no_slide(tmp_path: Path, capsys) -> None:
    (tmp_path / "cohort.csv").write_text("path\na.svs\n")
    code, _, err = wsipipe(capsys, "segment", tmp_path / "cohort.csv", "-o", tmp_path / "out", "--recipe", "toy")
    assert code == 1
    assert err == "error: cohort: is a table, no slide: give a CSV of slides to `wsipipe batch`\n"


def test_an_output_whose_model_is_of_another_version_is_labelled_anew(tmp_path: Path, capsys) -> None:
    out, toy = tmp_path / "out", ("--recipe", "toy", "--workers", "1")
    call = ("run", write_tiny_slide(tmp_path, "s.tiff"), "-o", out, *toy)
    assert wsipipe(capsys, *call)[0] == 0
    before = (out / "s" / "cells.csv").read_bytes()
    with safetensors.safe_open(out / "model.safetensors", "pt") as file:
        header = file.metadata()
    tensors = load_file(out / "model.safetensors")
    tensors.pop("critic.sharpness")
    (out / "model.safetensors").write_bytes(save(tensors, header))
    code, _, err = wsipipe(capsys, *call)
    assert code == 1
    assert err == (
        "error: out/model.safetensors: made by another version of wsipipe (its tensors are not those of the networks "
        "it names): use `wsipipe label out --model NAME|FILE`, which keeps the cells, or --overwrite\n"
    )
    code, said, _ = wsipipe(capsys, "doctor", out)
    assert code == 1
    assert [line.split(":")[0] for line in said.splitlines()] == ["FAIL model", "PASS s"]
    assert wsipipe(capsys, "label", out, "--model", "default", "--workers", "1")[0] == 0
    assert wsipipe(capsys, "doctor", out)[0] == 0
    assert (out / "s" / "cells.csv").read_bytes() == before
