#!/usr/bin/env python3
"""text-to-pdf.py FILE... FOLDER: makes a PDF of each text file, with the standard library alone. The first line is the title, a second line
`by NAME, YYYY-MM-DD` author and date; a line of --- begins a page; a line that begins with # is a heading."""
import os
import sys
import textwrap


def page_content(lines):
    y, drawn = 780, []
    for line in lines:
        size = 16 if line.startswith("# ") else 11
        for part in textwrap.wrap(line.removeprefix("# "), 84) or [""]:
            escaped = part.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
            drawn.append(f"BT /F1 {size} Tf 60 {y} Td ({escaped}) Tj ET")
            y -= size + 4
    return "\n".join(drawn)


def pdf(text):
    title, author, *rest = text.split("\n")
    name, date = author.removeprefix("by ").rsplit(", ", 1)
    pages = "\n".join(["# " + title] + rest).split("\n---\n")
    first_page = 5
    kids = " ".join(f"{first_page + 2 * i} 0 R" for i in range(len(pages)))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
               "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
               f"<< /Title ({title}) /Author ({name}) /CreationDate (D:{date.replace('-', '')}) >>"]
    for number, page in enumerate(pages):
        content = page_content(page.split("\n"))
        objects.append("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
                       f"/Contents {first_page + 2 * number + 1} 0 R >>")
        objects.append(f"<< /Length {len(content.encode('cp1252'))} >>\nstream\n{content}\nendstream")
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + (table + trailer).encode()


*sources, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
for source in sources:
    with open(source, encoding="utf-8") as file:
        made = pdf(file.read().strip())
    with open(os.path.join(folder, os.path.splitext(os.path.basename(source))[0] + ".pdf"), "wb") as file:
        file.write(made)
