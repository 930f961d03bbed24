"""Documents of every kind that Sextant reads, and hostile ones, made small with the standard library alone."""
import email.message
import json
import zipfile


def make_zip(path, parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


# ---- PDF ----

def make_pdf(path, pages, title=None, loop=False):
    """pages: lists of (x, y, size, text) of Latin-1 text; an empty list is a page without text. loop: the page tree is its own child."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", None,
               "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]
    kids = []
    for lines in pages:
        stream = "".join(f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET\n" for x, y, size, text in lines)
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}endstream")
        objects.append("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F1 3 0 R >> >> "
                       f"/Contents {len(objects)} 0 R >>")
        kids.append(f"{len(objects)} 0 R")
    if loop:
        kids.append("2 0 R")
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>"
    info = ""
    if title:
        objects.append(f"<< /Title ({title}) /Author (Ada Example) /CreationDate (D:20200102030405Z) >>")
        info = f" /Info {len(objects)} 0 R"
    data = b"%PDF-1.4\n"
    offsets = []
    for number, text in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    start = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += f"trailer << /Size {len(objects) + 1} /Root 1 0 R{info} >>\nstartxref\n{start}\n%%EOF\n".encode()
    path.write_bytes(data)


def column(x, words):
    return [(x, 700 - 14 * i, 10, f"{word} is a word of this column") for i, word in enumerate(words)]


# ---- Office and books ----

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def make_docx(path, body, more=None):
    styles = (f'<w:styles {WORD}><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
              '<w:style w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="berschrift1"/></w:style></w:styles>')
    core = ('<cp:coreProperties xmlns:cp="c" xmlns:dc="d" xmlns:dcterms="t"><dc:title>Bees</dc:title><dc:creator>Ada Example'
            '</dc:creator><dcterms:created>2021-05-06T07:08:09Z</dcterms:created></cp:coreProperties>')
    parts = {"word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>", "word/styles.xml": styles,
             "docProps/core.xml": core}
    parts.update(more or {})
    make_zip(path, parts)


def make_moved_docx(path):
    """Relationships lead to parts of other names, as Word on the web writes them."""
    def relations(*rows):
        return "<Relationships>" + "".join(f'<Relationship Type="http://x.example/relationships/{kind}" Target="{target}"/>'
                                           for kind, target in rows) + "</Relationships>"
    hidden = '<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>shown</w:t></w:r></w:p>'
    make_zip(path, {"_rels/.rels": relations(("officeDocument", "/word/document2.xml")),
                    "word/_rels/document2.xml.rels": relations(("footnotes", "footnotes2.xml"), ("styles", "styles2.xml")),
                    "word/document2.xml": f"<w:document {WORD}><w:body>{docx_paragraph('Moved', 's1')}{hidden}</w:body></w:document>",
                    "word/styles2.xml": f'<w:styles {WORD}><w:style w:styleId="s1"><w:name w:val="heading 1"/></w:style></w:styles>',
                    "word/footnotes2.xml": f"<w:footnotes {WORD}><w:footnote>{docx_paragraph('Under it.')}</w:footnote></w:footnotes>"})


def docx_paragraph(text, style=None):
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def make_odt(path):
    names = 'xmlns:office="o" xmlns:text="t" xmlns:table="b" xmlns:dc="d"'
    body = ('<text:h text:outline-level="2">Hives</text:h><text:p>One<text:s text:c="2"/>two<text:note><text:note-citation>1'
            "</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body></text:note> three</text:p>"
            "<text:list><text:list-item><text:p>first</text:p></text:list-item></text:list>"
            "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell><text:p>b"
            "</text:p></table:table-cell></table:table-row></table:table>")
    make_zip(path, {"content.xml": f"<office:document-content {names}><office:body>{body}</office:body></office:document-content>",
                    "meta.xml": f"<office:meta {names}><dc:title>Odt title</dc:title><dc:creator>Ada</dc:creator></office:meta>"})


def make_locked_epub(path, locked):
    """Chapters with an encoded name, with a name that only looks encoded, one that is not there; encrypted ones."""
    names = ["a%20b.xhtml", "c%20d.xhtml", "gone.xhtml", "locked.xhtml"]
    items = "".join(f'<item id="c{i}" href="{name}" media-type="application/xhtml+xml"/>' for i, name in enumerate(names))
    spine = "".join(f'<itemref idref="c{i}"/>' for i in ([3] if locked else range(4)))
    make_zip(path, {"META-INF/container.xml": '<container><rootfile full-path="EPUB/b.opf"/></container>',
                    "META-INF/encryption.xml": '<encryption><CipherData><CipherReference URI="EPUB/locked.xhtml"/></CipherData></encryption>',
                    "EPUB/b.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
                    "EPUB/a b.xhtml": "<p>First.</p>", "EPUB/c%20d.xhtml": "<p>Second.</p>", "EPUB/locked.xhtml": "Z\x17nonsense"})


def make_epub(path, chapters, more_items=""):
    items = "".join(f'<item id="c{i}" href="text/c{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    package = (f'<package xmlns:dc="d"><metadata><dc:title>A book</dc:title><dc:creator>Ada Example</dc:creator><dc:date>2019'
               f"-01-02</dc:date><dc:language>de-CH</dc:language></metadata><manifest>{items}{more_items}</manifest><spine>{spine}"
               '<itemref idref="evil"/></spine></package>')
    parts = {"META-INF/container.xml": '<container><rootfiles><rootfile full-path="EPUB/b.opf"/></rootfiles></container>',
             "EPUB/b.opf": package}
    for i, text in enumerate(chapters):
        parts[f"EPUB/text/c{i}.xhtml"] = f"<html><body><h1>Chapter {i + 1}</h1><p>{text}</p></body></html>"
    make_zip(path, parts)


# ---- Notebooks ----

def make_notebook(path):
    cells = [{"cell_type": "markdown", "source": ["# Cooling\n", "Newton's law."]},
             {"cell_type": "code", "source": "x = 1\nprint(x)", "outputs": [{"output_type": "stream", "text": ["hidden output\n"]}]},
             {"cell_type": "raw", "source": "as it is"}]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells, "metadata": {"kernelspec": {"language": "python"}}}))


MAIL = b"""From: Ada Example <ada@example.org>
To: bo@example.org
Subject: =?iso-8859-1?q?Caf=E9_plan?=
Date: Tue, 1 Jul 2003 10:52:37 +0200
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="out"

--out
Content-Type: multipart/alternative; boundary="in"

--in
Content-Type: text/html

<p>the same in <b>HTML</b>
--in
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Dear Bo,

see you =
there.
Ada
--in--
--out
Content-Type: application/pdf; name="plan.pdf"
Content-Disposition: attachment
Content-Transfer-Encoding: base64

YXR0YWNoZWQgd29yZHM=
--out--
"""


def make_parcel(path, files):
    """A message that has files attached, all sent as the same type as many programs do."""
    message = email.message.EmailMessage()
    message["Subject"] = "A parcel"
    message["From"] = "ada@example.org"
    message.set_content("All of it is attached.")
    for file in files:
        message.add_attachment(file.read_bytes(), maintype="application", subtype="octet-stream", filename=file.name)
    path.write_bytes(message.as_bytes())


RTF = (r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset128 MS Mincho;}}"
       r"{\stylesheet{\s0 Normal;}{\s3 heading 2;}}{\info{\title Letters}{\author Ada Example}{\creatim\yr2018\mo3\dy4}}{\*\unknown gone}{\header page head}"
       r"{\pard\outlinelevel0 Heading one\par}{\pard Caf\'e9 {\f1\'cf\'f0\'e8\'e2\'e5\'f2} {\f2\'93\'fa\'96\'7b} \u8364? \{braces\}"
       r"{\v hidden}{\footnote A note.} end\par}{\pard\intbl a\cell b\cell\row}"
       r"{\pard\s3 Below\par}{\shp{\*\shpinst{\sp{\sn shapeType}{\sv 202}}{\shptxt\pard In a box\par}}}}")


def make_all(folder):
    make_pdf(folder / "columns.pdf", [
        [(50, 760, 20, "Two columns")] + column(50, ["alpha", "beta", "gamma"]) + column(320, ["delta", "epsilon", "zeta"]),
        [],
        [(50, 700, 10, "The last page speaks of tanger-"), (50, 686, 10, "ines and \\(brackets\\).")]], title="Fruit")
    make_pdf(folder / "scanned.pdf", [[], []])
    make_docx(folder / "bees.docx", docx_paragraph("Bees in town", "berschrift1") + docx_paragraph("They live on roofs.") +
              docx_paragraph("Below", "Mine") + "<w:tbl><w:tr><w:tc>" + docx_paragraph("cell one") + "</w:tc><w:tc>" +
              docx_paragraph("cell two") + "</w:tc></w:tr></w:tbl>" + "<w:p><w:del><w:r><w:delText>struck</w:delText></w:r></w:del></w:p>",
              {"word/footnotes.xml": f"<w:footnotes {WORD}><w:footnote>{docx_paragraph('A foot note.')}</w:footnote></w:footnotes>"})
    make_moved_docx(folder / "moved.docx")
    make_locked_epub(folder / "chapters.epub", False)
    make_odt(folder / "hives.odt")
    make_epub(folder / "book.epub", ["Erster Satz.", "Zweiter Satz."])
    make_notebook(folder / "cooling.ipynb")
    (folder / "letters.rtf").write_text(RTF)
    (folder / "letter.eml").write_bytes(MAIL)
    make_parcel(folder / "parcel.eml", [folder / name for name in ("columns.pdf", "bees.docx", "letter.eml", "scanned.pdf")])


def make_hostile(folder):
    make_pdf(folder / "cyclic.pdf", [[(50, 700, 10, "a page of a tree that bites its tail")]], loop=True)
    (folder / "cut.pdf").write_bytes(b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog")
    make_docx(folder / "zip-bomb.docx", docx_paragraph(" " * (300 << 20)))
    laughs = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
        f"<!ENTITY {chr(98 + i)} '{('&' + chr(97 + i) + ';') * 10}'>" for i in range(10)) + "]>"
    make_zip(folder / "entities.docx", {"word/document.xml": laughs + f"<w:document {WORD}><w:body>{docx_paragraph('&k;')}</w:body></w:document>"})
    make_zip(folder / "nested.docx", {"word/document.xml": "<a>" * 200000 + "</a>" * 200000})
    make_zip(folder / "nested.epub", {
        "META-INF/container.xml": '<container><rootfile full-path="b.opf"/></container>',
        "b.opf": '<p><item id="c" href="c.html" media-type="text/html"/><itemref idref="c"/></p>',
        "c.html": "<div>" * 200000 + "deep words" + "</div>" * 200000})
    make_epub(folder / "outside.epub", ["Inside."], '<item id="evil" href="../../evil.xhtml" media-type="application/xhtml+xml"/>')
    with zipfile.ZipFile(folder / "outside.epub", "a") as archive:
        archive.writestr("../../evil.xhtml", "<p>evil words</p>")
    make_parcel(folder / "bombs.eml", [folder / name for name in ("zip-bomb.docx", "nested.docx", "entities.docx")])
    make_locked_epub(folder / "locked.epub", True)
    (folder / "groups.rtf").write_text("{\\rtf1" + "{" * 1000000 + "deep")
    (folder / "nested.eml").write_text("Subject: deep\n" + "".join(
        f"Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n" for i in range(10000)) + "\ndeep words\n")
    (folder / "parts.eml").write_text("Subject: many\nContent-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 300000)
    (folder / "header.eml").write_text("Subject: heading\nX-Long: " + "very long " * 3000000 + "\n\nThe heading is no burden.\n")
    (folder / "not.docx").write_bytes(b"PK\x03\x04 cut short")
    (folder / "deep.ipynb").write_text('{"cells": ' + "[" * 200000)
