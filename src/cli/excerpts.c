/* excerpts.c - showing a passage and where it stands, for verbs that look at a collection as a whole. */
#include "excerpts.h"

#include "../base/json_writer.h"

#include <string.h>

void sx_cli_member_excerpt(sx_buffer *json, const sx_excerpt *passage)
{
    sx_cli_member_text(json, "collection", passage->collection);
    sx_cli_member_text(json, "root", passage->root);
    sx_cli_member_text(json, "document", passage->document);
    if (passage->title && *passage->title)
        sx_cli_member_text(json, "title", passage->title);
    sx_cli_member_integer(json, "chunk", passage->index);
    sx_cli_member_integer(json, "start", passage->start);
    sx_cli_member_integer(json, "end", passage->end);
    sx_cli_member_integer(json, "start_line", passage->start_line);
    sx_cli_member_integer(json, "end_line", passage->end_line);
    sx_cli_key(json, "text");
    sx_json_write_string(json, passage->text, passage->text_length);
    sx_cli_member_boolean(json, "text_is_whole", passage->text_length == passage->whole_length);
}

void sx_cli_say_excerpt(const sx_excerpt *passage, const char *indent)
{
    enum { SHOWN = 110 };
    size_t length = passage->text_length < SHOWN ? passage->text_length : SHOWN;
    while (length && length < passage->text_length && ((unsigned char)passage->text[length] & 0xc0) == 0x80)
        length--;
    sx_cli_say("%s%.*s%s\n", indent, (int)length, passage->text, length < passage->whole_length ? " ..." : "");
}
