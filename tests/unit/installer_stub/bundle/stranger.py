"""A reader of format 2 by somebody who has docs/bundle-format.md and a Python, and nothing of ours: ``python3 stranger.py FILE``.
It does less than section 7 asks for in this: the grammar of texts (names, digests, paths, types of files), orders within coverage.json and of reasons, who signed."""
# ruff: noqa: ANN001, ANN002 - short enough to be read beside the page
import base64, hashlib, json, mmap, os, struct, sys, zipfile, zlib  # noqa: E401, I001
M, LOCK, MACHINES, OCI, DOCKER = 0xFFFFFFFF, "airseal/images.lock.json", {62: ("x86_64", "linux/amd64"), 183: ("aarch64", "linux/arm64")}, "application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."
INDEX, LIST, MANIFEST, IMAGE, CONFIGS = OCI + "index.v1+json", DOCKER + "list.v2+json", OCI + "manifest.v1+json", DOCKER + "v2+json", (OCI + "config.v1+json", "application/vnd.docker.container.image.v1+json")
BLOB, MAP = {"mediaType": str, "digest": str, "size": int}, (str,)  # {members in order; ? may be missing}, (texts by name), [a list]
DESCRIPTOR = BLOB | {"platform?": {"architecture": str, "os": str, "variant?": str}, "urls?": [str], "annotations?": MAP, "artifactType?": str}
KINDS = {"recorded": ("owner", "container"), "gone": ("namespace", "name"), "scanned": ("object", "path"), "listed": ("where",), "pulled": (), "attached": ("what", "subject")}
SIZES, VERSIONS = {"imagesSize": int, "imagesUnpackedSize": int, "filesSize": int, "airseal": str}, {"airseal": str, "kubernetes": str, "engine": str}
INFO = {"name": str, "version": str, "kubernetes": str, "platforms": [str], "cluster": BLOB, "commands": [{"argv": [str], "line": int, "timeout?": int}], "environment": MAP, "labels": MAP} | SIZES
RUNTIME, BLOCKED = {"name": str, "handler": str, "places": [KINDS]}, {"reference": str, "reason": str, "where": str, "places": [KINDS]}
DOCUMENTS = {
    "bundle/2": {"format": str, "bundle": INFO, "needs": {"machine": str, "glibc": str, "kernel?": str}, "publishers": [str], "parts": ({"digest": str, "size": int},), "blobs": (int,)},
    "images.lock/2": {"format": str, "images": [{"reference": str, "descriptor": DESCRIPTOR, "digests": [str], "size": int, "reasons": [KINDS]}]},
    "coverage/1": {"format": str, "unresolved": [{"reference": str, "answer": str, "places": [KINDS]}], "blocked": [BLOCKED], "unread": [str], "runtimes?": [RUNTIME], "signatures?": {"policy": str, "images": [{"reference": str, "key": str, "unsigned": str}]}},
    "rehearsal/1": {"format": str, "skipped": bool, "topology": str, "file": str, "began": int, "seconds": int} | VERSIONS | {"forced": [{"what": str, "count": int}], "notes": [str], "allowed": [str]},
    "": {"schemaVersion": int, "mediaType": str, "artifactType": str, "config": BLOB, "layers": [BLOB | {"annotations?": MAP}]}}
def need(holds, why):
    if not holds:
        raise ValueError(f"it does not hold that {why}"[:200])
def look(value, like, at):
    if isinstance(like, dict):
        like = {"kind": str, **dict.fromkeys(KINDS[value["kind"]], str)} if like is KINDS else like
        names = [name for name in like if not name.endswith("?") or value.get(name[:-1]) not in (None, "", [], {})]
        need(type(value) is dict and list(value) == [name.rstrip("?") for name in names], f"{at} has the members {names}")
    need(type(value) is (dict if isinstance(like, (tuple, dict)) else list if isinstance(like, list) else like) and (type(value) is not int or 0 <= value < 2**63), f"{at} is {like}")
    for name, each in enumerate(value) if isinstance(like, list) else value.items() if isinstance(value, dict) else ():
        look(each, like.get(name) or like[f"{name}?"] if isinstance(like, dict) else like[0], f"{at}.{name}")
def document(raw, kind, most=64 << 20):
    value = json.loads(bytes(raw)) if len(raw) <= most else None
    need(raw == json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n" and value.get("format") == (f"airseal.{kind[:-1]}{2 if 'signatures' in value else kind[-1]}" if kind else None), f"{kind} is canonical")
    look(value, DOCUMENTS[kind], kind or "the list of files")
    return value
def zip64(*values):
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values) if values else b""
def archive(path, view):
    infos, entries, records = zipfile.ZipFile(path).infolist(), {}, b""
    end = infos[0].header_offset  # of the bootloader, then of each entry
    for info in infos:
        name, size, here, both = info.filename.encode("ascii"), info.file_size, end, (info.file_size,) * 2 if info.file_size >= M else ()
        extra, wide = zip64(*both), zip64(*both, *([here] if here >= M else []))
        padding = -(bare := here + 30 + len(name) + len(extra)) % 4096 and (-bare - 6) % 4096 + 6 if name.startswith(b"blobs/") else 0
        extra += struct.pack("<HHH", 0xD935, padding - 4, 4096).ljust(padding, b"\0") if padding else b""
        fields, version = (0, 0, 0, 0x21, info.CRC, min(size, M), min(size, M), len(name)), 45 if wide else 10
        head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45 if both else 10, *fields, len(extra)) + name + extra
        records += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0x300 + version, version, *fields, len(wide), 0, 0, 0, 0x81A40000, min(here, M)) + name + wide
        body, end = view[here + len(head) : here + len(head) + size], here + len(head) + size
        need(view[here : here + len(head)] == head and zlib.crc32(body) == info.CRC, f"{name!r} has its header, its padding and its CRC-32")
        entries[info.filename] = body
    wide = struct.pack("<IQHHIIQQQQIIQI", 0x06064B50, 44, 0x32D, 45, 0, 0, len(infos), len(infos), length := len(records), end, 0x07064B50, 0, end + length, 1)
    need(view[end:] == records + (wide if (few := min(len(infos), 0xFFFF)) == 0xFFFF or length >= M or end >= M else b"") + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, few, few, min(length, M), min(end, M), 0), "its end is its directory")
    return view[: infos[0].header_offset], entries
def walk(entries, root, platforms, found, depth=0):
    raw = entries[f"blobs/{root['digest'].replace(':', '/')}"]
    need(len(raw) == root["size"], f"{root['digest']} has {root['size']} bytes")
    if root["mediaType"] in (INDEX, LIST, MANIFEST, IMAGE) and (root["digest"], "read") not in found:
        value = json.loads(bytes(raw)) if len(raw) <= 4 << 20 and depth < 8 else None
        kind, many, one = value.get("mediaType") or root["mediaType"], value.get("manifests"), value.get("config") is not None or value.get("layers") is not None
        wanted = [each for each in many or [] if each.get("platform") is None or any(text.items() <= each["platform"].items() for text in platforms)]
        need(kind in (INDEX, LIST, MANIFEST, IMAGE) and (many is None or not one) and (wanted or not many), f"{root['digest']} is one thing, with something for its platforms")
        found[root["digest"], "read"] = 0
        for each in wanted if kind in (INDEX, LIST) else [value["config"], *(value["layers"] or [])]:
            walk(entries, each, platforms, found, depth + 1)
    found |= {(root["digest"], ""): len(raw)} | ({(root["digest"], "read"): 0} if root["mediaType"] in CONFIGS else {})
def read(path):
    data = memoryview(mmap.mmap(os.open(path, os.O_RDONLY), 0, access=mmap.ACCESS_READ))
    program, entries = archive(path, data)
    value, lock, *said = [document(entries[f"airseal/{kind[:-2]}.json"], kind) for kind in DOCUMENTS if f"airseal/{kind[:-2]}.json" in entries]
    info, parts, images, fixed = value["bundle"], value["parts"], lock["images"], {"bootloader", "stub", "oci-layout", "index.json", LOCK, "stub.pkg"}
    blobs = {f"blobs/{digest.replace(':', '/')}": {"digest": digest, "size": size} for digest, size in value["blobs"].items()}
    signatures = sorted(f"airseal/signatures/{base64.b64decode(each[7:] + '=', validate=True).hex()}.sig" for each in value["publishers"])
    order = ["oci-layout", "index.json", "airseal/bundle.json", *signatures, *sorted(name for name in parts if name.startswith("airseal/")), *blobs, "stub.pkg"]
    need(value["publishers"] == ["SHA256:" + base64.b64encode(base64.b64decode(each[7:] + "=")).decode()[:-1] for each in sorted(set(value["publishers"]))] and list(entries) == order and len(signatures) <= 8 and all(len(entries[name]) <= 1 << 14 for name in signatures) and set(parts) - fixed <= {"airseal/coverage.json", "airseal/rehearsal.json"}, "it has the entries that it lists")
    for name, part in {**dict.fromkeys(fixed), **parts, **blobs}.items():
        piece, kind = {"bootloader": program, "stub": bytes(program) + bytes(entries["stub.pkg"])}.get(name) or entries[name], part["digest"].partition(":")[0]
        need(kind in ("sha256", "sha512")[: 1 + (name in blobs)] and part == {"digest": f"{kind}:{hashlib.new(kind, piece).hexdigest()}", "size": len(piece)}, f"{name} is {part}")
    need(program[:4] == b"\x7fELF" and program[5] == 1 and (value["needs"]["machine"], program[19]) == (MACHINES[program[18]][0], 0) and MACHINES[program[18]][1] in info["platforms"], "its program is for its machine")
    notes = [each["annotations"] for each in document(entries[f"blobs/{info['cluster']['digest'].replace(':', '/')}"], "", 4 << 20)["layers"] if "annotations" in each]
    for each in (list(parts), list(value["blobs"]), list(info["labels"]), [each["reference"] for each in images if not each["reference"].startswith("airseal.internal/") or need(False, "images have names of their own")], *(each["digests"] for each in images), [each["org.opencontainers.image.title"] for each in notes]):
        need(each == sorted(set(each)), f"{each} is sorted, and nothing stands twice")
    own, listed, found, files, platforms = f"airseal.internal/cluster/{info['name']}:{info['version']}", [], {}, {}, [dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False)) for text in info["platforms"]]
    for name, root in sorted([*((each["reference"], each["descriptor"]) for each in images), (own, info["cluster"])], key=lambda pair: pair[0]):
        named = root | {"annotations": dict(sorted((root.get("annotations", {}) | {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}).items()))}
        listed.append({key: named[key] for key in [key.rstrip("?") for key in DESCRIPTOR] if key in named})
    need(entries["index.json"] == json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, indent=1).encode() + b"\n" and entries["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}', "oci-layout and index.json are what the lock makes of them")
    for root, locked in zip(listed, [{each["reference"]: each for each in images}.get(each["annotations"]["io.containerd.image.name"]) for each in listed], strict=True):
        walk(entries, root, platforms, one := {})
        (found if locked else files).update(one)
        need(not locked or (sum(one.values()), sorted(digest for digest, what in one if what)) == (locked["size"], locked["digests"]), f"{root['digest']} has the size and the digests of the lock")
    need(0 < len(info["platforms"]) == len(set(info["platforms"])) and all(each["argv"] for each in info["commands"]) and all(info["environment"]) and "=" not in "".join(info["environment"]) and "\0" not in "".join([*(word for each in info["commands"] for word in each["argv"]), *info["environment"], *info["environment"].values()]), "platforms, commands and environment can be")
    need({digest for digest, _ in found | files} == value["blobs"].keys() and sum(found.values()) == info["imagesSize"], "no blob is left over, and images have their size")
    need(sum(int(each["internal.airseal.content-size"]) for each in notes) == info["filesSize"], "its files have their size")
    content = json.dumps({"blobs": value["blobs"], "bundle": {key: info[key] for key in INFO if key != "airseal"}, "parts": {name: parts[name] for name in ("index.json", LOCK)}}, sort_keys=True, separators=(",", ":"))
    return {"title": f"{info['name']}:{info['version']}", **{name: hashlib.sha256(piece).hexdigest() for name, piece in (("sha256", data), ("digest", entries["airseal/bundle.json"]), ("content", content.encode()))}, "signatures": signatures, "files": [each["org.opencontainers.image.title"] for each in notes], "said": said, "images": [each["reference"] for each in images]}
if __name__ == "__main__":
    try:
        print(*(f"{key}: {each}" for key, each in read(sys.argv[1]).items() if key != "said"), sep="\n")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, OSError, struct.error, zipfile.BadZipFile) as error:
        sys.exit(f"refused: {error!r}")
