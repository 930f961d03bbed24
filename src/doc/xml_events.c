/* xml_events.c - XML as events, by libxml2's SAX2 interface without what makes XML dangerous.
 *
 * No tree is built. Entities are never replaced but for the five that XML has itself and numbers; the first declaration of one
 * ends the reading, so that "a billion laughs" costs nothing. libxml2's own limits stay: 256 open elements, 10 MB in one text. */
#include "archive_parts.h"

#include "../base/error.h"

#include <limits.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <string.h>

typedef struct xml_reading {
    const sx_xml_events *events;
    xmlParserCtxtPtr parser;
    bool has_entities;
} xml_reading;

static void on_start(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int space_count,
                     const xmlChar **spaces, int count, int defaulted, const xmlChar **all)
{
    xml_reading *reading = user;
    sx_xml_attributes attributes = {all, count};
    if (!reading->has_entities && reading->events->start)
        reading->events->start(reading->events->user, (const char *)name, &attributes);
}

static void on_end(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    xml_reading *reading = user;
    if (!reading->has_entities && reading->events->end)
        reading->events->end(reading->events->user, (const char *)name);
}

static void on_text(void *user, const xmlChar *text, int length)
{
    xml_reading *reading = user;
    if (!reading->has_entities && reading->events->text && length > 0)
        reading->events->text(reading->events->user, (const char *)text, (size_t)length);
}

static void on_entity(void *user, const xmlChar *name, int type, const xmlChar *public_id, const xmlChar *system_id,
                      xmlChar *content)
{
    xml_reading *reading = user;
    reading->has_entities = true;
    xmlStopParser(reading->parser);
}

static xmlEntityPtr find_entity(void *user, const xmlChar *name)
{
    return xmlGetPredefinedEntity(name);
}

static void on_fault(void *user, xmlErrorPtr fault)
{
    /* The parser keeps the last one, which is what the caller is told. */
}

bool sx_xml_attribute(const sx_xml_attributes *attributes, const char *name, const char **value, size_t *length)
{
    for (int i = 0; i < attributes->count; i++) {
        const unsigned char **one = attributes->all + 5 * i; /* name, prefix, URI, value, its end */
        if (!strcmp((const char *)one[0], name)) {
            *value = (const char *)one[3];
            *length = (size_t)(one[4] - one[3]);
            return true;
        }
    }
    return false;
}

sx_status sx_xml_read(const void *data, size_t length, const char *what, const char *part, const sx_xml_events *events,
                      sx_error *error)
{
    sx_status status = SX_OK;
    if (length > INT_MAX)
        return sx_fail(error, SX_E_LIMIT, "%s: %s has %zu bytes, more than the parser's limit of %d", what, part, length,
                       INT_MAX);
    xml_reading reading = {.events = events};
    xmlSAXHandler handler = {.initialized = XML_SAX2_MAGIC,
                             .startElementNs = on_start,
                             .endElementNs = on_end,
                             .characters = on_text,
                             .ignorableWhitespace = on_text,
                             .cdataBlock = on_text,
                             .entityDecl = on_entity,
                             .getEntity = find_entity,
                             .serror = on_fault};
    xmlParserCtxtPtr parser = xmlCreateMemoryParserCtxt(length ? data : " ", length ? (int)length : 1);
    if (!parser)
        return sx_fail_nomem(error, length);
    reading.parser = parser;
    *parser->sax = handler;
    parser->userData = &reading;
    xmlCtxtUseOptions(parser, XML_PARSE_NONET);
    xmlParseDocument(parser);
    if (reading.has_entities) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: %s declares XML entities, which are not read", what, part);
    } else if (parser->errNo == XML_ERR_NO_MEMORY) {
        status = sx_fail_nomem(error, length);
    } else if (!parser->wellFormed && parser->disableSAX) {
        const char *said = parser->lastError.message ? parser->lastError.message : "not XML";
        int shown = (int)strcspn(said, "\n");
        if (parser->lastError.code == XML_ERR_INTERNAL_ERROR && strstr(said, "depth"))
            status = sx_fail(error, SX_E_UNSUPPORTED, "%s: %s nests more than 256 elements", what, part);
        else
            status = sx_fail(error, SX_E_UNSUPPORTED, "damaged %s: %s: line %d: %.*s", what, part, parser->lastError.line,
                             shown, said);
    }
    if (parser->myDoc)
        xmlFreeDoc(parser->myDoc);
    xmlFreeParserCtxt(parser);
    return status;
}
