/* code_languages.c - the table of programming languages. Kinds and roles of nodes are those of each grammar's node-types.json. */
#include "code_languages.h"

#include <string.h>

static const sx_code_rule python[] = {
    {"function_definition", "function", NULL, NULL, NULL},
    {"class_definition", "class", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* C++ holds what C has, so that a header of either is read by the same rules. */
static const sx_code_rule c[] = {
    {"function_definition", "function", NULL, NULL, NULL},
    {"declaration field_declaration", "function", "declarator~function_declarator", NULL, NULL},
    {"struct_specifier", "struct", "body", NULL, NULL},
    {"union_specifier", "union", "body", NULL, NULL},
    {"enum_specifier", "enum", "body", NULL, NULL},
    {"class_specifier", "class", "body", NULL, NULL},
    {"type_definition", "type", NULL, NULL, NULL},
    {"alias_declaration concept_definition", "type", NULL, NULL, NULL},
    {"namespace_definition", "namespace", NULL, NULL, NULL},
    {"preproc_function_def", "macro", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* JavaScript and TypeScript. */
static const sx_code_rule script[] = {
    {"function_declaration generator_function_declaration function_signature", "function", NULL, NULL, NULL},
    {"method_definition method_signature abstract_method_signature", "method", NULL, NULL, NULL},
    {"class_declaration abstract_class_declaration", "class", NULL, NULL, NULL},
    {"interface_declaration", "interface", NULL, NULL, NULL},
    {"enum_declaration", "enum", NULL, NULL, NULL},
    {"type_alias_declaration", "type", NULL, NULL, NULL},
    {"internal_module module", "namespace", NULL, NULL, NULL},
    {"variable_declarator public_field_definition field_definition", "function",
     "value=arrow_function function_expression generator_function", "name", NULL},
    {"variable_declarator", "class", "value=class", NULL, NULL},
    {"assignment_expression", "function", "right=arrow_function function_expression generator_function", "left", NULL},
    {"pair", "function", "value=arrow_function function_expression generator_function", "key", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule go[] = {
    {"function_declaration", "function", NULL, NULL, NULL},
    {"method_declaration", "method", NULL, NULL, "receiver"},
    {"method_elem", "method", NULL, NULL, NULL},
    {"type_spec", "struct", "type=struct_type", NULL, NULL},
    {"type_spec", "interface", "type=interface_type", NULL, NULL},
    {"type_spec type_alias", "type", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule rust[] = {
    {"function_item function_signature_item", "function", NULL, NULL, NULL},
    {"impl_item", "impl", NULL, "type", NULL},
    {"struct_item", "struct", NULL, NULL, NULL},
    {"union_item", "union", NULL, NULL, NULL},
    {"enum_item", "enum", NULL, NULL, NULL},
    {"trait_item", "trait", NULL, NULL, NULL},
    {"mod_item", "module", "body", NULL, NULL},
    {"type_item", "type", NULL, NULL, NULL},
    {"macro_definition", "macro", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule java[] = {
    {"method_declaration constructor_declaration compact_constructor_declaration", "method", NULL, NULL, NULL},
    {"class_declaration", "class", NULL, NULL, NULL},
    {"interface_declaration annotation_type_declaration", "interface", NULL, NULL, NULL},
    {"enum_declaration", "enum", NULL, NULL, NULL},
    {"record_declaration", "record", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule csharp[] = {
    {"method_declaration constructor_declaration destructor_declaration", "method", NULL, NULL, NULL},
    {"local_function_statement", "function", NULL, NULL, NULL},
    {"operator_declaration", "method", NULL, "operator", NULL},
    {"property_declaration", "property", "accessors", NULL, NULL},
    {"class_declaration", "class", NULL, NULL, NULL},
    {"struct_declaration", "struct", NULL, NULL, NULL},
    {"record_declaration", "record", NULL, NULL, NULL},
    {"interface_declaration", "interface", NULL, NULL, NULL},
    {"enum_declaration", "enum", NULL, NULL, NULL},
    {"delegate_declaration", "type", NULL, NULL, NULL},
    {"namespace_declaration", "namespace", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule ruby[] = {
    {"method singleton_method", "method", NULL, NULL, NULL},
    {"class", "class", "name", NULL, NULL},
    {"module", "module", "name", NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule php[] = {
    {"function_definition", "function", NULL, NULL, NULL},
    {"method_declaration", "method", NULL, NULL, NULL},
    {"class_declaration", "class", NULL, NULL, NULL},
    {"interface_declaration", "interface", NULL, NULL, NULL},
    {"trait_declaration", "trait", NULL, NULL, NULL},
    {"enum_declaration", "enum", NULL, NULL, NULL},
    {"namespace_definition", "namespace", "body", NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule shell[] = {
    {"function_definition", "function", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule kotlin[] = {
    {"function_declaration", "function", NULL, NULL, NULL},
    {"class_declaration", "class", NULL, NULL, NULL},
    {"object_declaration", "object", NULL, NULL, NULL},
    {"companion_object", "object", "name", NULL, NULL},
    {"type_alias", "type", NULL, ".identifier", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule swift[] = {
    {"function_declaration protocol_function_declaration", "function", NULL, NULL, NULL},
    {"init_declaration", "function", NULL, "=init", NULL},
    {"deinit_declaration", "function", NULL, "=deinit", NULL},
    {"class_declaration", "class", NULL, NULL, NULL},
    {"protocol_declaration", "protocol", NULL, NULL, NULL},
    {"typealias_declaration", "type", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule sql[] = {
    {"create_function", "function", NULL, ".object_reference", NULL},
    {"create_procedure", "procedure", NULL, ".object_reference", NULL},
    {"create_trigger", "trigger", NULL, ".object_reference", NULL},
    {"create_table", "table", NULL, ".object_reference", NULL},
    {"create_view create_materialized_view", "view", NULL, ".object_reference", NULL},
    {"create_type", "type", NULL, ".object_reference", NULL},
    {"create_index", "index", NULL, "column", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const sx_code_rule lua[] = {
    {"function_declaration", "function", NULL, NULL, NULL},
    {"field", "function", "value=function_definition", NULL, NULL},
    {"assignment_statement", "function", ".expression_list=function_definition", ".variable_list", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* name, label, grammars, comments, attached, wrappers, imports, separators, rules */
static const sx_code_language languages[] = {
    {"python", "Python", "python", "comment", "", "decorated_definition", "import_statement import_from_statement", ".", python},
    {"c", "C", "c cpp", "comment", "", "template_declaration", "preproc_include", "::", c},
    {"cpp", "C++", "cpp", "comment", "", "template_declaration", "preproc_include using_declaration", "::", c},
    {"javascript", "JavaScript", "javascript tsx", "comment", "decorator",
     "export_statement lexical_declaration variable_declaration expression_statement", "import_statement", ".", script},
    {"typescript", "TypeScript", "typescript tsx", "comment", "decorator",
     "export_statement lexical_declaration variable_declaration expression_statement ambient_declaration",
     "import_statement", ".", script},
    {"go", "Go", "go", "comment", "", "type_declaration", "import_declaration package_clause", ".", go},
    {"rust", "Rust", "rust", "line_comment block_comment", "attribute_item", "", "use_declaration extern_crate_declaration", "::",
     rust},
    {"java", "Java", "java", "line_comment block_comment", "", "", "import_declaration package_declaration", ".", java},
    {"csharp", "C#", "c_sharp", "comment", "", "", "using_directive", ".", csharp},
    {"ruby", "Ruby", "ruby", "comment", "", "", "", "::", ruby},
    {"php", "PHP", "php", "comment", "", "", "namespace_use_declaration", "\\", php},
    {"shell", "Shell", "bash", "comment", "", "", "", "", shell},
    {"kotlin", "Kotlin", "kotlin", "line_comment block_comment", "", "", "import package_header", ".", kotlin},
    {"swift", "Swift", "swift", "comment multiline_comment", "", "", "import_declaration", ".", swift},
    {"sql", "SQL", "sql", "comment marginalia", "", "statement", "", ".", sql},
    {"lua", "Lua", "lua", "comment", "", "variable_declaration", "", ".:", lua},
};
enum { LANGUAGES = sizeof languages / sizeof languages[0] };

const sx_code_language *sx_code_language_named(const char *name)
{
    for (size_t i = 0; name && i < LANGUAGES; i++)
        if (!strcmp(languages[i].name, name))
            return &languages[i];
    return NULL;
}

const sx_code_language *sx_code_language_at(size_t index)
{
    return index < LANGUAGES ? &languages[index] : NULL;
}
