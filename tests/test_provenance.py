"""Evidence in metadata that Pillow wrote, signed histories that c2pa-python wrote, and files made to do harm."""

import datetime
import io
import json
import random
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rexnet_ai_real.provenance import CAVEAT, Evidence, Provenance, read_provenance
from rexnet_ai_real.provenance.block import MAX_BLOCK_BYTES
from rexnet_ai_real.provenance.containers import blocks
from rexnet_ai_real.provenance.exif import TEXTS, read_directory
from rexnet_ai_real.provenance.iptc import SOURCE_TYPES
from tests.provenance_cases import (
    AIGC,
    BROKEN_EXIF,
    DECLARATIONS,
    DIGITAL_CAPTURE,
    FORMS,
    LABELS,
    OTHER_LABELS,
    OTHER_TEXTS,
    PARAMETERS,
    PROPERTIES,
    RESEMBLING,
    SOFTWARE,
    SOURCE_TYPE_PACKETS,
    SOURCE_TYPES_SAID,
    WITH_XMP,
    WRITTEN,
    samples,
)
from tests.provenance_files import (
    COMFY,
    CONTAINERS,
    STORE,
    TRAINED,
    WEB_UI,
    bomb,
    chunk,
    encoded,
    exif_of,
    iptc_records,
    items_without_numbers,
    label_packet,
    loose_letters,
    many_fields,
    many_texts,
    packet,
    photoshop_resources,
    png,
    stores,
    user_comment,
    with_chunks,
    with_raw_profile,
    with_segment,
    with_xmp,
)


def only(found: Provenance) -> Evidence:
    assert found.problem is None
    assert len(found.evidence) == 1, found.evidence
    return found.evidence[0]


@pytest.mark.parametrize(("key", "text", "program"), PARAMETERS)
@pytest.mark.parametrize("compressed", [False, True])
def test_parameters_in_png(key: str, text: str, program: str, compressed: bool) -> None:
    for international in (False, True):
        found = read_provenance(png(compressed, international, **{key: text}))
        item = only(found)
        assert (item.kind, item.field, item.says, item.program) == ("parameters", key, "ai", program)
        assert item.where == ("PNG iTXt" if international else "PNG zTXt" if compressed else "PNG tEXt")
        assert found.says == "ai"
        assert program in found.verdict


@pytest.mark.parametrize(("key", "text"), OTHER_TEXTS)
def test_other_texts_are_no_evidence(key: str, text: str) -> None:
    found = read_provenance(png(**{key: text}))
    assert found == Provenance()
    assert found.says is None
    assert found.verdict == "no provenance metadata (it may have been removed)"


@pytest.mark.parametrize(("software", "says", "program"), SOFTWARE)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_software_in_exif(kind: str, software: str, says: str, program: str | None) -> None:
    item = only(read_provenance(encoded(kind, exif=exif_of(Software=software))))
    assert (item.kind, item.field, item.value, item.says) == ("software", "Software", software, says)
    assert (item.where, item.program) == ("EXIF", program)


@pytest.mark.parametrize("code", [b"UNICODE\0", b"ASCII\0\0\0", bytes(8)])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_parameters_in_a_user_comment(kind: str, code: bytes) -> None:
    text = WEB_UI.encode("utf-16-be" if code.startswith(b"UNI") else "ascii")
    item = only(read_provenance(encoded(kind, exif=exif_of(UserComment=code + text).tobytes())))
    assert (item.kind, item.field, item.says) == ("parameters", "UserComment", "ai")
    assert item.value.startswith("a cat on a roof Negative prompt: blurry Steps: 20")


def test_camera_and_what_only_looks_like_one() -> None:
    found = read_provenance(encoded("JPEG", exif=exif_of(Make="Canon", Model="EOS 5D", Software="Adobe Photoshop 25")))
    assert [(item.kind, item.says) for item in found.evidence if item.kind == "camera"] == [("camera", "real")] * 2
    assert found.says == "edited"
    assert "Canon" in found.verdict
    comfy = read_provenance(encoded("WEBP", exif=exif_of(Make=f"prompt:{COMFY}")))
    assert (only(comfy).says, only(comfy).program) == ("ai", "ComfyUI")


def test_directories_hold_what_pillow_wrote() -> None:
    for order in ("<", ">"):
        exif = exif_of(Make="A", Software="Some Software 1", Artist="Å. Ängström", Copyright="c" * 300)
        exif.endian = order
        texts = dict(read_directory(exif.tobytes().removeprefix(b"Exif\0\0")).texts())
        reread = Image.Exif()
        reread.load(exif.tobytes())
        assert texts == {TEXTS[tag]: value for tag, value in reread.items() if tag in TEXTS}
        assert len(texts) == 4


@pytest.mark.parametrize("kind", WITH_XMP)
def test_source_type_in_xmp(kind: str) -> None:
    for xmp in SOURCE_TYPE_PACKETS:
        item = only(read_provenance(with_xmp(kind, xmp)))
        assert (item.kind, item.field, item.value) == (
            "source type",
            "Iptc4xmpExt:DigitalSourceType",
            "trainedAlgorithmicMedia",
        )
        assert (item.says, item.where) == ("ai", "XMP")


@pytest.mark.parametrize(("code", "says"), SOURCE_TYPES_SAID)
def test_source_types(code: str, says: str) -> None:
    value = TRAINED.replace("trainedAlgorithmicMedia", code)
    item = only(read_provenance(encoded("JPEG", xmp=packet(f"<i:DigitalSourceType>{value}</i:DigitalSourceType>"))))
    assert (item.value, item.says) == (code, says)
    assert (code in SOURCE_TYPES) == (code != "notOnTheList")


def test_other_xmp_properties() -> None:
    found = read_provenance(encoded("JPEG", xmp=PROPERTIES)).evidence
    assert {(item.field, item.says, item.program) for item in found} == {
        ("photoshop:Credit", "ai", "Google"),
        ("xmp:CreatorTool", "edited", "Adobe Photoshop"),
        ("dc:creator", "ai", "Midjourney"),
        ("stEvt:softwareAgent", "edited", "GIMP"),
        ("dc:description", "unknown", None),
        ("Iptc4xmpExt:AISystemUsed", "ai", None),
    }


def test_packets_in_utf_16() -> None:
    xmp = DIGITAL_CAPTURE.decode()
    for encoding in ("utf-16-le", "utf-16-be"):
        item = only(read_provenance(encoded("JPEG", xmp=("\ufeff" + xmp).encode(encoding))))
        assert (item.value, item.says) == ("digitalCapture", "real")


def test_iptc_records() -> None:
    iim = iptc_records()
    data = with_segment(0xED, b"Photoshop 3.0\0" + photoshop_resources(iim))
    assert {(item.field, item.value, item.says, item.where) for item in read_provenance(data).evidence} == {
        ("Originating Program", "GIMP", "edited", "IPTC"),
        ("Credit", "Midjourney, Zoë", "ai", "IPTC"),
    }
    with Image.open(io.BytesIO(data)) as image:
        assert iim in image.info["photoshop"].values()


def test_raw_profiles_of_imagemagick() -> None:
    profile = b"Exif\0\0" + exif_of(Software="Midjourney").tobytes().removeprefix(b"Exif\0\0")
    item = only(read_provenance(with_raw_profile("exif", profile)))
    assert (item.field, item.says, item.where) == ("Software", "ai", "EXIF")


def test_comments_of_jpeg_and_gif() -> None:
    for kind, where in (("JPEG", "JPEG comment"), ("GIF", "GIF comment")):
        assert only(read_provenance(encoded(kind, comment=WEB_UI))).where == where


def test_text_behind_the_pixels_is_found_without_decoding_them() -> None:
    plain = encoded()
    damaged = bytearray(plain)
    damaged[60:80] = bytes(20)  # inside the compressed pixels
    data = bytes(damaged[:-12]) + chunk(b"tEXt", b"parameters\0" + WEB_UI.encode()) + plain[-12:]
    assert only(read_provenance(data)).says == "ai"


def test_names_play_no_part(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(png(parameters=WEB_UI))
    assert read_provenance(path) == read_provenance(path.read_bytes())
    assert only(read_provenance(path)).says == "ai"


def test_values_cannot_steer_a_terminal() -> None:
    item = only(read_provenance(png(Software="Midjourney\x1b[2J\x07\n" + "x" * 10_000)))
    assert item.value.isprintable()
    assert len(item.value) == 200


def test_caveat_is_stated() -> None:
    assert "forged or removed" in CAVEAT
    assert read_provenance(png(parameters=WEB_UI)).verdict.endswith("(metadata can be forged or removed)")


# One table of forms, in every container.


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_generator_is_known_in_every_container(form: str, container: str) -> None:
    text, program = FORMS[form]
    item = only(read_provenance(CONTAINERS[container](text)))
    assert (item.kind, item.says, item.program) == ("parameters", "ai", program)


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_mandatory_label_of_china_is_read_in_every_container(container: str) -> None:
    for label in ({"AIGC": AIGC}, AIGC, {"AIGC": json.dumps(AIGC)}):
        item = only(read_provenance(CONTAINERS[container](json.dumps(label))))
        assert (item.kind, item.says) == ("label", "ai")
        assert item.value == "Label 1 (AI-generated), ContentProducer 00119111010000000000000000000"


@pytest.mark.parametrize(("label", "says", "words"), LABELS)
def test_degrees_of_chinas_label(label: str | int, says: str, words: str) -> None:
    """GB 45438-2025, annex E: a text or XMP property whose name holds AIGC, and JSON of seven entries."""
    text = json.dumps({**AIGC, "Label": label})
    xmp = label_packet(text)
    for data in (
        png(AIGC=text),
        encoded("JPEG", xmp=xmp),
        encoded("WEBP", xmp=xmp),
    ):
        found = read_provenance(data)
        item = only(found)
        assert (item.kind, item.says) == ("label", says)
        assert f"Label {label} ({words})" in item.value
        assert "China's AIGC label" in found.verdict


@pytest.mark.parametrize("text", OTHER_LABELS)
def test_other_labels_are_none_of_chinas(text: str) -> None:
    assert read_provenance(png(Comment=text)) == Provenance()


@pytest.mark.parametrize("text", RESEMBLING)
def test_texts_that_resemble_parameters_are_none(text: str) -> None:
    for make in CONTAINERS.values():
        assert read_provenance(make(text)) == Provenance()


def test_comments_in_other_scripts() -> None:
    chinese = "山の上の城" * 20
    for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
        text = f"{chinese}\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"
        item = only(read_provenance(user_comment("JPEG", b"UNICODE\0" + text.encode(encoding))))
        assert item.value.startswith(chinese), encoding


@pytest.mark.parametrize(("written", "code"), WRITTEN)
@pytest.mark.parametrize("name", ["DigitalSourceType", "DigitalSourcetype", "digitalsourcetype"])
def test_source_types_however_they_are_written(written: str, code: str, name: str) -> None:
    item = only(read_provenance(encoded("JPEG", xmp=packet("", f'i:{name}="{written}"'))))
    assert (item.kind, item.value, item.says) == ("source type", code, SOURCE_TYPES[code])
    item = only(read_provenance(png(DigitalSourceType=written)))
    assert (item.value, item.says) == (code, SOURCE_TYPES[code])


def test_what_hides_in_the_pixels_is_named_as_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    from rexnet_ai_real.provenance.__main__ import main

    with pytest.raises(SystemExit):
        main(["--help"])
    assert "the lowest bit of alpha" in " ".join(capsys.readouterr().out.split())
    assert '"stealth" parameters in the lowest bit of alpha' in " ".join(str(read_provenance.__doc__).split())
    hidden = Image.new("RGBA", (64, 64), (90, 60, 30, 255))
    bits = [int(bit) for letter in b"stealth_pnginfo" + WEB_UI.encode() for bit in f"{letter:08b}"]
    hidden.putdata([(90, 60, 30, 254 | bit) for bit in bits])
    buffer = io.BytesIO()
    hidden.save(buffer, "PNG")
    assert read_provenance(buffer.getvalue()) == Provenance()


def test_a_problem_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rexnet_ai_real.provenance.__main__ import main

    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "b.png").write_bytes(with_chunks(chunk(b"tEXt", b"parameters\0" + WEB_UI.encode()))[:-30])
    assert main([str(tmp_path)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'a.png'}: could not be read: not an image"
    assert second.count("no PNG chunk") + second.count("reaches past the end") == 1
    assert "says AI-generated" in second


# Files made to do harm.


def test_text_bombs_are_not_unpacked() -> None:
    data = with_chunks(bomb(32 << 20), chunk(b"tEXt", b"Software\0Midjourney"))
    tracemalloc.start()
    found = read_provenance(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * MAX_BLOCK_BYTES
    assert found.says == "ai"  # what stands behind the bomb is still read
    assert found.problem == f"PNG text 'parameters' holds more than {MAX_BLOCK_BYTES:,} bytes"


def test_many_bombs_end_the_reading() -> None:
    found = read_provenance(with_chunks(*[bomb(MAX_BLOCK_BYTES + 1)] * 22))
    assert found.problem is not None
    assert "too many damaged PNG texts" in found.problem


def test_masses_of_metadata_end_the_reading() -> None:
    found = read_provenance(many_texts())
    assert len(found.evidence) == 50
    assert found.problem is not None
    assert "more metadata than 1,000 blocks" in found.problem


def test_masses_of_fields_end_the_reading() -> None:
    found = read_provenance(many_fields())
    assert found.problem == "more than 2,000 fields of metadata: the rest is not read"


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_xmp_declares_nothing(declaration: str) -> None:
    body = packet("<i:DigitalSourceType>&c;</i:DigitalSourceType>")
    found = read_provenance(encoded("JPEG", xmp=declaration.encode() + body))
    assert found.evidence == ()
    assert found.problem == "XMP declares a document type, which no honest packet does"


def test_huge_and_deep_xmp() -> None:
    huge = packet("<dc:title>" + "x" * MAX_BLOCK_BYTES + "</dc:title>")
    found = read_provenance(encoded("WEBP", xmp=huge))
    assert found.problem is not None
    assert "more than the limit" in found.problem
    deep = read_provenance(encoded("WEBP", xmp=b"<a>" * 50_000))
    assert deep.problem is not None
    assert "no sound XML" in deep.problem


def test_properties_before_damage_are_kept() -> None:
    found = read_provenance(encoded("JPEG", xmp=DIGITAL_CAPTURE[:-30]))
    assert found.says == "real"
    assert found.problem is not None


@pytest.mark.parametrize("tiff", BROKEN_EXIF)
def test_broken_exif(tiff: bytes) -> None:
    found = read_provenance(with_chunks(chunk(b"eXIf", tiff), chunk(b"tEXt", b"parameters\0" + WEB_UI.encode())))
    assert found.says == "ai"
    assert found.problem is not None or tiff.startswith(b"II*\0\x08\0\0\0\x01\0\x69\x87")


def test_tables_of_items_without_numbers() -> None:
    found = read_provenance(items_without_numbers())
    assert found.problem is not None
    assert "extents" in found.problem


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, problem in (("empty.png", "empty file"), ("folder", "a folder"), ("absent", "no such file")):
        found = read_provenance(tmp_path / name)
        assert found == Provenance(problem=problem)
        assert found.verdict == f"could not be read: {problem}"
    assert read_provenance(b"no image").problem == "not an image"


def test_damage_never_raises() -> None:
    chance = random.Random(0)
    for sample in samples():
        for _ in range(150):
            damaged = bytearray(sample)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(12, len(damaged))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            read_provenance(bytes(damaged[: chance.randint(12, len(damaged))]))


# C2PA.


@pytest.mark.parametrize("where", ["JPEG APP11", "PNG caBX", "WebP C2PA", "TIFF", "uuid box"])
def test_presence_is_told_without_the_extra(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_provenance(stores()[where])
    assert found.c2pa is not None
    assert (found.c2pa.state, found.c2pa.where) == ("not validated", where)
    assert (found.says, found.evidence) == ("unknown", ())
    assert "install rexnet-ai-real[c2pa] to validate it" in found.verdict


def test_the_letters_c2pa_are_no_manifest() -> None:
    for body in loose_letters():
        assert read_provenance(with_segment(0xEB, b"JP\0\1\0\0\0\1" + body)).c2pa is None
        assert read_provenance(with_chunks(chunk(b"caBX", body))).c2pa is None
    assert read_provenance(encoded("JPEG", comment=STORE)).c2pa is None


Sign = Callable[[bytes, str], bytes]


@pytest.fixture(scope="module")
def signer() -> tuple[Sign, str]:
    """Signs an image as AI-generated with a certificate made here; and that certificate's root, in PEM."""
    c2pa = pytest.importorskip("c2pa", reason="needs the extra c2pa")
    x509 = pytest.importorskip("cryptography.x509")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")

    now, oid = datetime.datetime.now(datetime.UTC), x509.oid.NameOID

    def certificate(name: str, own: Any, by: Any, authority: bool) -> Any:
        names = [
            x509.Name(
                [x509.NameAttribute(oid.ORGANIZATION_NAME, "Test Signers"), x509.NameAttribute(oid.COMMON_NAME, one)]
            )
            for one in (name, "Root")
        ]
        usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
        builder = x509.CertificateBuilder(names[1], names[0], own.public_key(), 1 + authority)
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(9))
        builder = builder.add_extension(x509.BasicConstraints(authority, None), True).add_extension(usage, True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
        purpose = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        return (builder if authority else builder.add_extension(purpose, False)).sign(by, hashes.SHA256())

    pem = serialization.Encoding.PEM
    root_key, own_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("Root", root_key, root_key, True).public_bytes(pem)
    chain = certificate("Signer", own_key, root_key, False).public_bytes(pem) + root
    private = own_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    created = {"action": "c2pa.created", "softwareAgent": "Adobe_Firefly", "digitalSourceType": TRAINED}
    manifest = {
        "claim_generator_info": [{"name": "Test", "version": "1"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
    }

    def sign(data: bytes, media_type: str) -> bytes:
        context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, private, None))
        signed = io.BytesIO()
        with c2pa.Builder(manifest, context=context) as builder:
            builder.sign(signer, media_type, io.BytesIO(data), signed)
        return signed.getvalue()

    return sign, root.decode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_signed_images(kind: str, signer: tuple[Sign, str]) -> None:
    sign, root = signer
    data = sign(encoded(kind), f"image/{kind.lower()}")
    for anchors, state in ((None, "valid"), (root, "trusted")):
        found = read_provenance(data, trust_anchors=anchors)
        assert found.c2pa is not None
        assert (found.c2pa.state, found.c2pa.signer) == (state, "Test Signers, Signer")
        assert (found.c2pa.programs, found.c2pa.source_types) == (("Test 1", "Adobe_Firefly"), (TRAINED,))
        assert found.says == "ai"
        assert {(item.value, item.says) for item in found.evidence} == {
            ("trainedAlgorithmicMedia", "ai"),
            ("Test 1", "unknown"),
            ("Adobe_Firefly", "ai"),
        }
        assert ("on no trust list" in found.verdict) == (anchors is None)


def test_changed_images_lose_their_history(signer: tuple[Sign, str]) -> None:
    sign, root = signer
    data = bytearray(sign(encoded("JPEG"), "image/jpeg"))
    data[-100] ^= 1
    found = read_provenance(bytes(data), trust_anchors=root)
    assert found.c2pa is not None
    assert (found.c2pa.state, found.c2pa.failures) == ("invalid", ("assertion.dataHash.mismatch",))
    assert {item.says for item in found.evidence} == {"unknown"}
    assert "does not hold" in found.verdict


def test_stores_that_hold_nothing() -> None:
    pytest.importorskip("c2pa", reason="needs the extra c2pa")
    for data in stores().values():
        found = read_provenance(data)
        assert found.c2pa is not None
        assert found.c2pa.state == "not validated"
        assert "cannot be read" in found.c2pa.summary


def test_blocks_are_those_that_pillow_finds(shared_data: Path) -> None:
    """On real files, EXIF and XMP are found exactly where Pillow finds them."""
    paths = [path for path in sorted((shared_data / "kaggle-raw").rglob("*")) if path.is_file()]
    problems: list[str] = []
    seen = np.zeros(2, dtype=int)
    for path in paths:
        with Image.open(path) as image:
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            if kind == "PNG":
                image.load()  # what stands behind the pixels
            info = image.info
        found = {block.kind: block.data for block in blocks(path.read_bytes(), kind, problems)}
        exif = info.get("exif", b"").removeprefix(b"Exif\0\0")
        xmp = info.get("xmp") or info.get("XML:com.adobe.xmp", "")
        assert found.get("exif", b"") == exif, path
        assert found.get("xmp", b"") == (xmp.encode() if isinstance(xmp, str) else xmp), path
        seen += bool(exif), bool(xmp)
    assert problems == []
    assert seen.min() > 10


def test_the_command_names_what_each_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rexnet_ai_real.provenance.__main__ import main

    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a lake at dawn\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=text)
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    assert main([str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "a.png" in first
    assert "Steps: 20" in first or "parameters" in first
    assert "no provenance metadata" in second
    assert main([str(tmp_path / "absent.png")]) == 1
