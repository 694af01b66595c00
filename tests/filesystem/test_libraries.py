"""What data scientists do: pandas, pyarrow, Zarr, Dask and pathlib through ``sv://``."""

from __future__ import annotations

import pickle
from typing import Any

import fsspec
import pytest

from svstorage.filesystem import SvFileSystem
from tests.filesystem.conftest import Service

pd = pytest.importorskip("pandas")


@pytest.fixture
def options(service: Service) -> dict[str, Any]:
    return {"env_file": str(service.env_file)}


@pytest.fixture
def table() -> Any:
    return pd.DataFrame({"number": range(5000), "word": [f"w{n % 7}" for n in range(5000)]})


def test_fsspec_open(service: Service, options: dict[str, Any]) -> None:
    with fsspec.open(service.url("a b/ö.txt"), "w", encoding="utf-8", **options) as file:
        file.write("über")
    with fsspec.open(service.url("a b/ö.txt"), "rb", **options) as file:
        assert file.read() == "über".encode()
    found = fsspec.open_files(service.url("a b/*.txt"), "rb", **options)
    assert [one.path for one in found] == [f"{service.bucket}/a b/ö.txt"]
    fs, path = fsspec.core.url_to_fs(service.url("a b"), **options)
    assert isinstance(fs, SvFileSystem)
    assert fs.ls(path, detail=False) == [f"{service.bucket}/a b/ö.txt"]


def test_fsspec_open_by_the_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVSTORAGE_ENV_FILE", str(service.env_file))
    with fsspec.open(service.url("x.txt.gz"), "wt", compression="infer") as file:
        file.write("packed")
    with fsspec.open(service.url("x.txt.gz"), "rb") as file:
        assert file.read(2) == b"\x1f\x8b"
    with fsspec.open(service.url("x.txt.gz"), "rt", compression="infer") as file:
        assert file.read() == "packed"


def test_pandas_parquet_and_csv(service: Service, options: dict[str, Any], table: Any) -> None:
    table.to_parquet(service.url("t.parquet"), storage_options=options)
    back = pd.read_parquet(service.url("t.parquet"), storage_options=options)
    pd.testing.assert_frame_equal(back, table)
    table.to_csv(service.url("t.csv.gz"), index=False, storage_options=options)
    back = pd.read_csv(service.url("t.csv.gz"), storage_options=options)
    pd.testing.assert_frame_equal(back, table)


def test_pyarrow_dataset(service: Service, fs: SvFileSystem, table: Any) -> None:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    whole = pa.Table.from_pandas(table)
    pq.write_table(whole, f"{service.bucket}/one.parquet", filesystem=fs)
    assert pq.read_table(f"{service.bucket}/one.parquet", filesystem=fs).equals(whole)
    ds.write_dataset(
        whole, f"{service.bucket}/set", format="parquet", filesystem=fs,
        partitioning=["word"], partitioning_flavor="hive",
    )  # fmt: skip
    found = ds.dataset(f"{service.bucket}/set", filesystem=fs, partitioning="hive")
    assert found.count_rows() == 5000
    assert found.to_table(filter=ds.field("word") == "w3").num_rows == 714


def test_dask_reads_and_writes(service: Service, options: dict[str, Any], table: Any) -> None:
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(table, npartitions=3)
    frame.to_parquet(service.url("dask/"), storage_options=options)
    back = dd.read_parquet(service.url("dask/"), storage_options=options)
    assert back.npartitions == 3
    assert int(back["number"].sum().compute(scheduler="threads")) == sum(range(5000))


def test_zarr_array(service: Service, fs: SvFileSystem) -> None:
    zarr = pytest.importorskip("zarr")
    np = pytest.importorskip("numpy")
    # Zarr 3 takes a mapping only by way of an asynchronous filesystem, Zarr 2 any mapping.
    url, options = service.url("array.zarr"), {"env_file": str(service.env_file)}
    data = np.arange(400).reshape(20, 20)
    made = zarr.open(
        url, mode="w", shape=(20, 20), chunks=(5, 5), dtype="i8", storage_options=options
    )
    made[:] = data
    back = zarr.open(url, mode="r", storage_options=options)
    assert (back[3:17, 2:9] == data[3:17, 2:9]).all()
    assert len(fs.find(f"{service.bucket}/array.zarr")) >= 16


def test_mapper(service: Service, options: dict[str, Any]) -> None:
    mapper = fsspec.get_mapper(service.url("map"), **options)
    mapper["a/b"] = b"1"
    mapper.setitems({"c": b"2", "d": b"3"})
    assert sorted(mapper) == ["a/b", "c", "d"]
    assert mapper.getitems(["c", "d", "none"], on_error="omit") == {"c": b"2", "d": b"3"}
    del mapper["c"]
    assert "c" not in mapper


def test_upath(service: Service, options: dict[str, Any]) -> None:
    upath = pytest.importorskip("upath")
    from svstorage.upath import SvPath

    root = upath.UPath(f"sv://{service.bucket}/x", **options)
    assert type(root) is SvPath
    assert (root.drive, root.name, str(root)) == (service.bucket, "x", f"sv://{service.bucket}/x")
    assert not root.exists()
    note = root / "sub" / "note.txt"
    note.write_text("hello\n", encoding="utf-8")
    (root / "data.bin").write_bytes(b"\0\1")
    assert note.read_text() == "hello\n"
    assert note.exists()
    assert note.is_file()
    assert root.is_dir()
    assert note.stat().st_size == 6
    assert sorted(p.name for p in root.iterdir()) == ["data.bin", "sub"]
    assert [str(p) for p in root.glob("**/*.txt")] == [str(note)]
    assert sorted(p.name for p in root.rglob("*")) == ["data.bin", "note.txt", "sub"]
    with note.open("a") as file:
        file.write("more\n")
    assert note.read_text().splitlines() == ["hello", "more"]
    assert note.with_suffix(".md").parent == root / "sub"
    assert pickle.loads(pickle.dumps(note)).read_text() == note.read_text()
    note.unlink()
    assert not note.exists()
    with pytest.raises(FileNotFoundError):
        note.read_text()
    odd = upath.UPath(f"sv://{service.bucket}", **options) / "%2F b#c?d"
    odd.write_bytes(b"odd")
    assert [p.name for p in odd.parent.iterdir()] == ["%2F b#c?d", "x"]


def test_upath_holds_no_secret_in_the_open(service: Service) -> None:
    upath = pytest.importorskip("upath")
    if service.secret is None:
        pytest.skip("no secrets here")
    path = upath.UPath(f"sv://{service.bucket}/x", **service.options)
    for derived in (path, path / "y", path.parent):
        assert service.secret not in repr((derived, derived.storage_options, derived.__dict__
                                           if hasattr(derived, "__dict__") else ""))  # fmt: skip
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(derived)
    path.write_text("reached")
    assert path.read_text() == "reached"
