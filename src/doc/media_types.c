/* media_types.c - what a file's name says about it: source languages, and kinds that are not read. */
#include "reader.h"

#include "../base/file.h"

#include <string.h>
#include <strings.h>

typedef struct name_row {
    const char *extensions, *value;
} name_row;

static const name_row not_read[] = {
    {"doc dot", "Word's old binary form is not read; .docx is"},
    {"odp ods odg fodt", "of OpenDocument only texts (.odt) are read"},
    {"mobi azw azw3", "of e-books only EPUB is read"},
    {"xls xlsx xlsm xlsb ppt pptx pps ppsx key numbers pages", "office documents are not read by this version"},
    {"msg pst ost", "of e-mail only .eml and .mbox are read"},
    {"ps eps djvu dvi xps", "page images are not read by this version"},
    {"png jpg jpeg gif bmp ico webp tif tiff avif heic psd xcf svg svgz raw", "image"},
    {"mp3 wav flac ogg oga opus m4a aac mid midi", "audio"},
    {"mp4 mkv avi mov webm wmv flv m4v mpg mpeg ogv", "video"},
    {"zip tar gz tgz bz2 xz zst lz4 7z rar jar war whl deb rpm cab iso dmg apk br lzma", "archive"},
    {"o obj a lib so dll dylib exe class pyc pyo pyd elc wasm ko beam", "compiled program"},
    {"ttf otf woff woff2 eot", "font"},
    {"db sqlite sqlite3 mdb parquet arrow feather orc h5 hdf5", "data base"},
    {"safetensors gguf onnx pt pth ckpt npy npz pkl pickle joblib tflite", "model or array file"},
};

static const name_row languages[] = {
    {"c h", "c"},
    {"cc cpp cxx c++ hh hpp hxx h++ inl ipp", "cpp"},
    {"cu cuh", "cuda"},
    {"py pyi pyw", "python"},
    {"pyx pxd pxi", "cython"},
    {"js mjs cjs jsx", "javascript"},
    {"ts mts cts tsx", "typescript"},
    {"java", "java"},
    {"kt kts", "kotlin"},
    {"scala sc", "scala"},
    {"go", "go"},
    {"rs", "rust"},
    {"rb rake gemspec", "ruby"},
    {"php phtml", "php"},
    {"cs csx", "csharp"},
    {"fs fsi fsx", "fsharp"},
    {"vb bas", "basic"},
    {"swift", "swift"},
    {"m mm", "objective-c"},
    {"sh bash zsh ksh fish", "shell"},
    {"ps1 psm1 psd1", "powershell"},
    {"bat cmd", "batch"},
    {"pl pm", "perl"},
    {"lua", "lua"},
    {"r", "r"},
    {"jl", "julia"},
    {"hs lhs", "haskell"},
    {"ml mli", "ocaml"},
    {"erl hrl", "erlang"},
    {"ex exs", "elixir"},
    {"clj cljs cljc edn", "clojure"},
    {"lisp lsp cl el scm ss rkt", "lisp"},
    {"dart", "dart"},
    {"zig", "zig"},
    {"nim", "nim"},
    {"d", "d"},
    {"f f77 f90 f95 f03 f08 for", "fortran"},
    {"pas pp dpr", "pascal"},
    {"adb ads ada", "ada"},
    {"s asm", "assembly"},
    {"v sv svh vhd vhdl", "hdl"},
    {"sql", "sql"},
    {"css scss sass less", "css"},
    {"vue svelte", "javascript"},
    {"proto", "protobuf"},
    {"graphql gql", "graphql"},
    {"tf hcl", "hcl"},
    {"cmake", "cmake"},
    {"mk", "make"},
    {"groovy gradle", "groovy"},
    {"glsl vert frag comp hlsl metal wgsl", "shader"},
    {"sol", "solidity"},
    {"awk", "awk"},
    {"tcl", "tcl"},
    {"vim", "vim"},
    {"nix", "nix"},
};

static const name_row whole_names[] = {
    {"makefile gnumakefile", "make"}, {"cmakelists.txt", "cmake"}, {"dockerfile containerfile", "dockerfile"},
    {"rakefile gemfile", "ruby"},     {"meson.build", "meson"},    {"jenkinsfile", "groovy"},
};

static const char *look_up(const name_row *rows, size_t count, const char *word, size_t length)
{
    for (size_t i = 0; i < count && length; i++) {
        for (const char *at = rows[i].extensions; *at;) {
            size_t span = strcspn(at, " ");
            if (span == length && !strncasecmp(at, word, length))
                return rows[i].value;
            at += span + (at[span] == ' ');
        }
    }
    return NULL;
}

sx_kind_by_name sx_kind_of_name(const char *path)
{
    const char *name = sx_path_name(path);
    const char *language = look_up(whole_names, sizeof whole_names / sizeof whole_names[0], name, strlen(name));
    if (language)
        return (sx_kind_by_name){.media_type = "text/plain", .language = language};
    const char *dot = strrchr(name, '.');
    const char *extension = dot && dot != name ? dot + 1 : "";
    const char *why = look_up(not_read, sizeof not_read / sizeof not_read[0], extension, strlen(extension));
    if (why)
        return (sx_kind_by_name){.why = why, .language = ""};
    language = look_up(languages, sizeof languages / sizeof languages[0], extension, strlen(extension));
    return (sx_kind_by_name){.media_type = "text/plain", .language = language ? language : ""};
}
