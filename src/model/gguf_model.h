/* gguf_model.h - a whole embedding model in one .gguf file: what model_folder.h says of a folder, and its tokenizer. */
#ifndef SX_MODEL_GGUF_MODEL_H
#define SX_MODEL_GGUF_MODEL_H

#include "model_folder.h"
#include "tensors.h"

/* Fills a zeroed folder from an open .gguf file (file->gguf is set): path, transformer and weights are all the file itself. The
 * vectors are normalised, as llama.cpp and Ollama do, and there are no prompts. A file that names no pooling has the last
 * token's if it was a decoder, else the mean. Clear it with sx_model_folder_clear, also after a failure. */
sx_status sx_model_folder_of_gguf(const sx_tensors *file, sx_model_folder *folder, sx_error *error);

sx_status sx_gguf_tokenizer_open(const sx_tensors *file, sx_tokenizer **out, sx_error *error);

#endif
