"""`wsipipe classify` and `evaluate slides` as a lab types them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.calls import wsipipe
from tests.synth import write_tiny_slide
from wsipipe.cohort.proportions import ProportionsRow
from wsipipe.export.tables import expected_csv, profiles_csv, proportions_csv
from wsipipe.io.output import slide_digest
from wsipipe.records import DESCRIPTION, words_for

QUICK = ["--repeats", "1", "--permutations", "4"]


def cohort(folder: Path, n: int = 32, model: str = "0123456789abcdef", seed: int = 0, k: int = 5) -> Path:
    """proportions.csv of n slides, and labels.csv: odd ones, the tumours, have more of class 2."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows, lines = [], ["slide_id,label,patient"]
    for i in range(n):
        p = rng.dirichlet(np.full(k, 8.0))
        p[2] += 0.5 * (i % 2)
        rows.append(ProportionsRow(f"s{i:02}", tuple(rng.multinomial(150, p / p.sum())), 1.0, (), model))
        lines.append(f"s{i:02}.svs,{('normal', 'tumour')[i % 2]},p{i // 4 * 2 + i % 2}")
    proportions_csv(folder / "proportions.csv", rows, [f"c{i}" for i in range(k)])
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cross_validation_from_two_tables(tmp_path: Path, capsys) -> None:
    folder = cohort(tmp_path)
    code, out, err = wsipipe(
        capsys, "classify", "cv", folder / "proportions.csv", "--labels", folder / "labels.csv", "-o", tmp_path / "v",
        *QUICK,
    )  # fmt: skip
    assert code == 0, err
    assert "patient" not in err
    names = [line.split()[0] for line in out.splitlines()]
    assert names == ["classifier", "linear-svm", "rbf-svm", "logistic", "k-means", "permutation"]
    assert "p = 0.2000" in out
    scores = json.loads((tmp_path / "v" / "scores.json").read_text())
    assert scores["patients"] == 16
    assert scores["labels"] == {"normal": 16, "tumour": 16}
    for row in scores["classifiers"][:3]:
        assert row["f1"] > 0.85
        assert row["auc"] > 0.9
        assert row["f1_95"][0] <= row["f1"] <= row["f1_95"][1]
        assert sum(row["vectors"].values()) == 4
    slides = rows_of(tmp_path / "v" / "slides.csv")
    assert [row["slide_id"] for row in slides] == [f"s{i:02}" for i in range(32)]
    assert all(float(r["p_normal"]) + float(r["p_tumour"]) == pytest.approx(1, abs=1e-3) for r in slides)
    assert not (tmp_path / "v" / "unmatched.csv").exists()
    page = (tmp_path / "v" / "classify.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == 5
    assert "No pictures" in page
    assert page.index("</span> c2<") < page.index("</span> c0<"), "the class that makes the difference comes first"


def test_json_is_the_same_for_the_same_seed(tmp_path: Path, capsys) -> None:
    folder = cohort(tmp_path)
    call = ["classify", "cv", folder / "proportions.csv", "--labels", folder / "labels.csv", "--json", "--seed", "3"]
    quick = ["--repeats", "1", "--permutations", "1"]
    one = wsipipe(capsys, *call, "-o", tmp_path / "a", *quick)[1]
    two = wsipipe(capsys, *call, "-o", tmp_path / "b", *quick)[1]
    assert json.loads(one) == json.loads(two)
    assert (tmp_path / "a" / "classify.html").read_bytes() == (tmp_path / "b" / "classify.html").read_bytes()


def test_what_has_no_partner_is_listed_and_missing_patients_are_said_loudly(tmp_path: Path, capsys) -> None:
    folder = cohort(tmp_path)
    lines = [line.rpartition(",")[0] for line in (folder / "labels.csv").read_text().splitlines()]
    (folder / "labels.csv").write_text("\n".join([*lines[:-1], "gone.svs,tumour"]) + "\n")
    code, _, err = wsipipe(
        capsys, "classify", "cv", folder / "proportions.csv", "--labels", folder / "labels.csv", "-o", tmp_path / "v",
        "--repeats", "1", "--permutations", "0",
    )  # fmt: skip
    assert code == 0
    assert "warning: no patient column" in err
    assert "warning: gone.svs: has a label, but is none of the slides here; it is left out" in err
    assert "warning: s31: has no label; it is left out" in err
    assert [row["slide"] for row in rows_of(tmp_path / "v" / "unmatched.csv")] == ["gone.svs", "s31"]
    page = (tmp_path / "v" / "classify.html").read_text()
    assert "no patient column" in page
    assert "Permutation test" not in page


def test_flags_of_slides_are_said(tmp_path: Path, capsys) -> None:
    folder = cohort(tmp_path)
    path = folder / "proportions.csv"
    lines = path.read_text().splitlines()
    for row, flags in ((1, "stain_fallback"), (2, "few_cells;stain_fallback")):
        lines[row] = lines[row].replace(",,0123", f",{flags},0123")
    path.write_text("\n".join(lines) + "\n")
    call = ["classify", "fit", path, "--labels", folder / "labels.csv", "-o", tmp_path / "v"]
    code, _, err = wsipipe(capsys, *call)
    assert code == 0
    assert "warning: flagged among the 32 slides: few_cells 1, stain_fallback 2; look at them before" in err


def test_few_slides_or_one_label_is_an_error_that_says_how_many(tmp_path: Path, capsys) -> None:
    folder = cohort(tmp_path, n=12)
    call = ["classify", "cv", folder / "proportions.csv", "--labels", folder / "labels.csv", "-o", tmp_path / "v"]
    code, _, err = wsipipe(capsys, *call)
    assert code == 2
    assert "too few patients: 'normal' has 3, 'tumour' has 3; 4 folds need 4 of every label" in err
    (folder / "labels.csv").write_text("slide_id,label\ns00,normal\ns02,normal\n")
    code, _, err = wsipipe(capsys, *call)
    assert code == 2
    assert "all slides are 'normal': give slides of at least two labels" in err
    assert not (tmp_path / "v").exists()


def test_fit_predict_and_evaluate(tmp_path: Path, capsys) -> None:
    old, new = cohort(tmp_path / "old"), cohort(tmp_path / "new", n=20, seed=9)
    for name in ("proportions.csv", "labels.csv"):  # other slides than the old ones
        text = (new / name).read_text().replace("\ns", "\nt")
        (new / name).write_text(text)
    call = ["classify", "fit", old / "proportions.csv", "--labels", old / "labels.csv", "-o", tmp_path / "v"]
    code, _, err = wsipipe(capsys, *call)
    assert code == 0, err
    assert "What the classifier looks at" in (tmp_path / "v" / "classifier.html").read_text()
    assert wsipipe(capsys, *call)[0] == 2
    assert wsipipe(capsys, *call, "--overwrite", "--classifier", "rbf-svm")[0] == 0
    assert wsipipe(capsys, *call, "--overwrite")[0] == 0

    path = new / "proportions.csv"
    path.write_text(path.read_text() + "blank,0,0,0,0,0,0,,,,,,1.0,no_nuclei,0123456789abcdef\n")
    target, classifier = tmp_path / "verdicts.csv", tmp_path / "v" / "classifier.json"
    code, _, err = wsipipe(capsys, "classify", "predict", path, "--classifier", classifier, "-o", target)
    assert code == 0, err
    assert "21 slides" in err
    said = rows_of(target)
    assert list(said[0]) == ["slide_id", "verdict", "p_normal", "p_tumour", "reasons", "note"]
    assert (said[-1]["slide_id"], said[-1]["verdict"], said[-1]["note"]) == ("blank", "", "no cells")
    right = [row["verdict"] == ("normal", "tumour")[i % 2] for i, row in enumerate(said[:-1])]
    assert np.mean(right) >= 0.9
    assert all(row["reasons"].startswith("c2 ") for row in said[:-1] if row["verdict"] == "tumour")
    assert "% (usually" in said[0]["reasons"]

    code, out, err = wsipipe(capsys, "evaluate", "slides", target, "--labels", new / "labels.csv", "--json")
    assert code == 0, err
    scores = json.loads(out)
    assert scores["slides"] == 20
    assert scores["accuracy"] == pytest.approx(np.mean(right))
    assert np.sum(scores["confusion"]) == 20
    assert "fitted to" not in err
    code, out, _ = wsipipe(capsys, "evaluate", "slides", target, "--labels", new / "labels.csv")
    assert "balanced_accuracy" in out
    assert "normal" in out

    wsipipe(capsys, "classify", "predict", old / "proportions.csv", "--classifier", classifier, "-o", target)
    assert {row["note"] for row in rows_of(target)} == {"the classifier was fitted to it"}
    code, _, err = wsipipe(capsys, "evaluate", "slides", target, "--labels", old / "labels.csv")
    assert code == 0
    assert "warning: the classifier was fitted to 32 of these 32 slides: the scores are too good" in err


def test_proportions_of_another_model_are_refused(tmp_path: Path, capsys) -> None:
    old, new = cohort(tmp_path / "old"), cohort(tmp_path / "new", model="fedcba9876543210")
    wsipipe(capsys, "classify", "fit", old / "proportions.csv", "--labels", old / "labels.csv", "-o", tmp_path / "v")
    code, _, err = wsipipe(
        capsys, "classify", "predict", new / "proportions.csv", "--classifier", tmp_path / "v" / "classifier.json",
        "-o", tmp_path / "x.csv",
    )  # fmt: skip
    assert code == 1
    (line,) = err.splitlines()
    assert "it judges proportions of model 0123456789abcdef (5 classes), these are of fedcba9876543210" in line
    assert "wsipipe label OUT --model" in line
    assert not (tmp_path / "x.csv").exists()


def test_an_output_folder_is_told_from_its_table(tmp_path: Path, capsys) -> None:
    folder = cohort(tmp_path / "out")
    call = ("classify", "cv", folder, "--labels", folder / "labels.csv", "-o", tmp_path / "v")
    code, _, err = wsipipe(capsys, *call)
    assert (code, err) == (2, f"error: out: is a folder: give the proportions.csv in it ({folder}/proportions.csv)\n")


def test_names_of_the_classes_do_not_matter(tmp_path: Path, capsys) -> None:
    folder = cohort(tmp_path)
    wsipipe(
        capsys, "classify", "fit", folder / "proportions.csv", "--labels", folder / "labels.csv", "-o", tmp_path / "v"
    )
    call = ["--classifier", tmp_path / "v" / "classifier.json", "-o"]
    wsipipe(capsys, "classify", "predict", folder / "proportions.csv", *call, tmp_path / "a.csv")
    text = (folder / "proportions.csv").read_text()
    (folder / "proportions.csv").write_text(text.replace("n_c2", "n_lymphocyte").replace("p_c2", "p_lymphocyte"))
    wsipipe(capsys, "classify", "predict", folder / "proportions.csv", *call, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().replace("lymphocyte", "c2") == (tmp_path / "a.csv").read_text()


def test_labels_that_the_classifier_cannot_give(tmp_path: Path, capsys) -> None:
    (tmp_path / "v.csv").write_text("slide_id,verdict,p_a,p_b,reasons,note\ns,a,0.9,0.1,,\nt,b,0.2,0.8,,\n")
    (tmp_path / "l.csv").write_text("slide_id,label\ns,A\nt,b\n")
    code, _, err = wsipipe(capsys, "evaluate", "slides", tmp_path / "v.csv", "--labels", tmp_path / "l.csv")
    assert code == 2
    assert "true labels that the classifier cannot give: A: it gives a, b" in err


def test_labels_of_many_other_slides_do_not_bury_the_scores(tmp_path: Path, capsys) -> None:
    (tmp_path / "v.csv").write_text("slide_id,verdict,p_a,p_b,reasons,note\ns,a,0.9,0.1,,\nt,a,0.8,0.2,,\n")
    others = "".join(f"o{i},b\n" for i in range(50))
    (tmp_path / "l.csv").write_text(f"slide_id,label\ns,a\nt,a\n{others}")
    code, out, err = wsipipe(capsys, "evaluate", "slides", tmp_path / "v.csv", "--labels", tmp_path / "l.csv")
    assert code == 0, err
    words = "50 are left out, each of which has a label, but is none of the slides here: o0, o1, o2, o3, o4, ..."
    assert err == f"warning: {words}\n"
    names, values = (line.split() for line in out.splitlines()[:2])
    assert dict(zip(names, values, strict=True))["auc"] == "-", "one label has no AUC"


@pytest.mark.parametrize(("k", "usual"), [(5, "counted"), (10, "expected")])
def test_expected_shares_are_taken_where_classes_are_many(k: int, usual: str, tmp_path: Path, capsys) -> None:
    """The counts tell nothing here, the expected shares everything."""
    folder, rng = cohort(tmp_path, k=k), np.random.default_rng(0)
    rows = []
    for i in range(32):
        e = rng.dirichlet(np.full(k, 200.0)) + 0.2 * (i % 2) * np.eye(k)[4]
        counts = tuple(rng.multinomial(150, np.full(k, 1 / k)))
        rows.append(ProportionsRow(f"s{i:02}", counts, 1.0, (), "0123456789abcdef", tuple(e / e.sum())))
    proportions_csv(folder / "proportions.csv", rows, [f"c{i}" for i in range(k)])
    expected_csv(folder / "expected.csv", rows, [f"c{i}" for i in range(k)])
    tables = [folder / "proportions.csv", "--labels", folder / "labels.csv", "-o"]
    found = {}
    for shares in ("", "expected", "counted"):
        out = tmp_path / f"v{shares}"
        code, _, err = wsipipe(capsys, "classify", "cv", *tables, out, *QUICK, *(["--by", shares] if shares else []))
        assert code == 0, err
        kind = shares or usual
        assert ("slides are judged by expected shares" in err) == (kind == "expected")
        scores = json.loads((out / "scores.json").read_text())
        assert scores["judged_by"] == kind
        found[shares] = scores["classifiers"][0]["f1"]
    assert found[""] == found[usual]
    assert found["expected"] > 0.95
    assert found["counted"] < 0.8

    assert wsipipe(capsys, "classify", "fit", *tables, tmp_path / "f", "--by", "expected")[0] == 0
    predict = ["classify", "predict", folder / "proportions.csv", "--classifier", tmp_path / "f" / "classifier.json"]
    code, _, err = wsipipe(capsys, *predict, "-o", tmp_path / "p.csv")
    assert code == 0, err
    assert "slides are judged by expected shares" in err
    assert [row["verdict"] for row in rows_of(tmp_path / "p.csv")] == ["normal", "tumour"] * 16
    (folder / "expected.csv").unlink()
    code, _, err = wsipipe(capsys, *predict, "-o", tmp_path / "q.csv")
    assert code == 2
    assert err.strip().startswith("error: expected.csv: does not lie beside proportions.csv: run `wsipipe proportions`")
    assert wsipipe(capsys, "classify", "cv", *tables, tmp_path / "w", *QUICK, "--by", "expected")[0] == 2


@pytest.mark.slow
def test_intervals_and_pictures_from_a_real_output(tmp_path: Path, capsys) -> None:
    """Eight drawn slides, two kinds of label: intervals on request, and pages with the cells of the stores."""
    slides = [write_tiny_slide(tmp_path, f"s{i}.tiff", seed=i) for i in range(8)]
    out = tmp_path / "out"
    code, _, err = wsipipe(capsys, "run", *slides, "-o", out, "--recipe", "toy", "--train", "--workers", "1")
    assert code == 0, err
    assert not any(name.startswith("lo_") for name in rows_of(out / "proportions.csv")[0])
    code, _, err = wsipipe(capsys, "proportions", out, "--intervals")
    assert code == 0, err
    for row in rows_of(out / "proportions.csv"):
        for name in [name[2:] for name in row if name.startswith("p_")]:
            assert float(row[f"lo_{name}"]) <= float(row[f"p_{name}"]) <= float(row[f"hi_{name}"])
    labels = tmp_path / "labels.csv"
    labels.write_text("slide_id,label\n" + "".join(f"s{i},{'ab'[i % 2]}\n" for i in range(8)))
    call = ["classify", "cv", out / "proportions.csv", "--labels", labels, "-o", tmp_path / "v"]
    code, _, err = wsipipe(capsys, *call, "--repeats", "1", "--permutations", "0")
    assert code == 0, err
    assert "learnt, without labels, on cells of 8 of these 8 slides too" in err
    page = (tmp_path / "v" / "classify.html").read_text()
    assert "the surest cell of each of the slides" in page
    assert page.count("data:image/png") >= 1, "classes with an effect, few where labels mean nothing"
    assert "on cells of 8 of these 8" in page
    assert len(slide_digest("s0")) == 16


def profiled(folder: Path, *, without: int = -1, bare: int = -1, model: str = "0123456789abcdef") -> Path:
    """A cohort whose shares tell nothing; the cells of class 1 look different.

    Slides of label `without` have no cells of class 2; slide `bare` has no tissue.
    """
    cohort(folder, k=3)
    rng, rows, names = np.random.default_rng(0), [], ["c0", "c1", "c2"]
    for i in range(32):
        looks = rng.normal(0, 0.3, (3, len(DESCRIPTION)))
        looks[1, :6] += 2.0 * (i % 2)
        counts = tuple(rng.multinomial(150, np.full(3, 1 / 3)))
        share = (0.5, 0.5, 0.0) if i % 2 == without else (0.25, 0.5, 0.25)
        profile, tissue_mm2 = tuple(map(tuple, looks.tolist())), 0.0 if i == bare else 1.0
        rows.append(ProportionsRow(f"s{i:02}", counts, tissue_mm2, (), model, share, profile))
    proportions_csv(folder / "proportions.csv", rows, names)
    expected_csv(folder / "expected.csv", rows, names)
    profiles_csv(folder / "profiles.csv", rows, names)
    return folder


def test_a_class_that_a_label_has_no_cells_of(tmp_path: Path, capsys) -> None:
    folder = profiled(tmp_path, without=0)
    tables = [folder / "proportions.csv", "--labels", folder / "labels.csv", "-o"]
    code, _, err = wsipipe(capsys, "classify", "cv", *tables, tmp_path / "v", *QUICK)
    assert code == 0, err
    page = (tmp_path / "v" / "classify.html").read_text()
    assert "Its cells differ" not in page.partition("</span> c2</h3>")[2].partition("</article>")[0]
    code, _, err = wsipipe(capsys, "classify", "fit", *tables, tmp_path / "f")
    assert code == 0, err


def test_profiles_are_taken_where_they_are_known(tmp_path: Path, capsys) -> None:
    """Shares tell nothing here; the reasons say how the cells of class 1 look."""
    folder = profiled(tmp_path)
    tables = [folder / "proportions.csv", "--labels", folder / "labels.csv", "-o"]
    found = {}
    for by in ("profiles", "counted"):
        out = tmp_path / by
        wanted = ["--by", by] if by == "counted" else []
        code, _, err = wsipipe(capsys, "classify", "cv", *tables, out, *QUICK, *wanted)
        assert code == 0, err
        assert ("slides are judged by profiles: cells of each class per mm2 of tissue" in err) == (by == "profiles")
        scores = json.loads((out / "scores.json").read_text())
        assert scores["judged_by"] == by
        found[by] = scores["classifiers"][0]["f1"]
    assert found["profiles"] > 0.95
    assert found["counted"] < 0.8
    page = (tmp_path / "profiles" / "classify.html").read_text()
    assert "cells of each class per mm2 of tissue" in page
    assert page.index("</span> c1<") < page.index("</span> c0<")

    assert wsipipe(capsys, "classify", "fit", *tables, tmp_path / "f")[0] == 0
    predict = ["classify", "predict", folder / "proportions.csv", "--classifier", tmp_path / "f" / "classifier.json"]
    code, _, err = wsipipe(capsys, *predict, "-o", tmp_path / "p.csv")
    assert code == 0, err
    said = rows_of(tmp_path / "p.csv")
    assert [row["verdict"] for row in said] == ["normal", "tumour"] * 16
    looks = [f"c1 75 per mm2 (usually 75 per mm2, its {words_for(name)} above usual)" for name in DESCRIPTION[:6]]
    assert any(look in said[1]["reasons"] for look in looks)
    (folder / "profiles.csv").unlink()
    code, _, err = wsipipe(capsys, *predict, "-o", tmp_path / "q.csv")
    assert code == 2
    assert err.strip().startswith("error: profiles.csv: does not lie beside proportions.csv: run `wsipipe proportions`")
    assert "judges proportions" not in err
    (folder / "expected.csv").unlink()
    paper = profiled(tmp_path / "paper", model="fedcba9876543210")
    (paper / "profiles.csv").unlink()
    code, _, err = wsipipe(capsys, *predict[:2], paper / "proportions.csv", *predict[3:], "-o", tmp_path / "r.csv")
    assert code == 1
    assert "judges proportions of model 0123456789abcdef (3 classes), these are of fedcba9876543210 (3" in err


def test_why_slides_are_not_judged_by_profiles_is_said(tmp_path: Path, capsys) -> None:
    plain, bare = cohort(tmp_path / "plain"), profiled(tmp_path / "bare", bare=5)
    for folder, why in ((plain, "no expected.csv beside proportions.csv"), (bare, "s05 has cells but no tissue")):
        call = ["classify", "fit", folder / "proportions.csv", "--labels", folder / "labels.csv", "-o", folder / "f"]
        code, _, err = wsipipe(capsys, *call)
        assert code == 0, err
        assert f"slides are judged by counted cells of each class; not by profiles: {why}\n" in err
        code, _, err = wsipipe(capsys, *call, "--by", "counted", "--overwrite")
        assert code == 0, err
        assert "not by profiles" not in err
