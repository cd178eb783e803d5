/* SPDX-License-Identifier: Apache-2.0
 * Classify an image file or a text with a packed network (`onnx-snn pack`), in C with the standard library alone:
 *
 *     cc -std=c99 -O2 classify.c -ldl -o classify
 *     ./classify [options] ONNXRUNTIME MODEL INPUT
 *
 *     ONNXRUNTIME   the shared library, such as onnxruntime/capi/libonnxruntime.so.1.* of the Python package or
 *                   bin/napi-v6/linux/x64/libonnxruntime.so.1 of npm's onnxruntime-node
 *     INPUT         path of a JPEG or PNG file, or the text itself, as the network takes it
 *     -l LIBRARY    register a library of operators: that of onnxruntime-extensions, and onnx-snn's for its kernels
 *     -g LIBRARY    load a library before, whose symbols the others need: the operators in the Python package of
 *                   onnxruntime-extensions need libpython
 *     -t THREADS    of a run (default: one for each core)
 *     -n RUNS       runs of which the fastest is timed (default: 1)
 *
 * Prints the labels, the likeliest first, and their scores; the seconds go to the standard error.
 */
#define _POSIX_C_SOURCE 200112L

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ort_api.h"

static const OrtApi* ort;

static void fail(const char* what, const char* why) {
  fprintf(stderr, "classify: %s: %s\n", what, why);
  exit(1);
}

/* Ends the program where a function of onnxruntime did not succeed. */
static void check(OrtStatus* status, const char* what) {
  if (status) fail(what, ort->GetErrorMessage(status));
}

static void* load(const char* library, int scope) {
  void* handle = dlopen(library, RTLD_NOW | scope);
  if (!handle) fail(library, dlerror());
  return handle;
}

static const OrtApi* load_onnxruntime(const char* library) {
  const OrtApiBase* (*get_base)(void);
  const OrtApi* api;
  *(void**)&get_base = dlsym(load(library, RTLD_LOCAL), "OrtGetApiBase");
  if (!get_base) fail(library, "is not onnxruntime: it has no OrtGetApiBase");
  api = get_base()->GetApi(ORT_API_VERSION);
  if (!api) fail(library, "is older than onnxruntime 1.17");
  return api;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static OrtValue* image_of(const char* path, OrtAllocator* allocator) {
  OrtValue* value;
  void* bytes;
  int64_t size;
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0) fail(path, "cannot be read");
  rewind(file);
  check(ort->CreateTensorAsOrtValue(allocator, &size, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &value), path);
  check(ort->GetTensorMutableData(value, &bytes), path);
  if (fread(bytes, 1, (size_t)size, file) != (size_t)size) fail(path, "cannot be read");
  fclose(file);
  return value;
}

static OrtValue* text_of(const char* text, OrtAllocator* allocator) {
  OrtValue* value;
  const int64_t batch = 1;
  check(ort->CreateTensorAsOrtValue(allocator, &batch, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value), "text");
  check(ort->FillStringTensor(value, &text, 1), "text");
  return value;
}

static size_t count_of(const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info;
  size_t count;
  check(ort->GetTensorTypeAndShape(value, &info), "shape");
  check(ort->GetTensorShapeElementCount(info, &count), "shape");
  ort->ReleaseTensorTypeAndShapeInfo(info);
  return count;
}

static void print_answer(const OrtValue* labels, OrtValue* scores) {
  const size_t count = count_of(labels);
  size_t* offsets = malloc((count + 1) * sizeof *offsets);
  char* text;
  float* score;
  size_t size, i;
  check(ort->GetStringTensorDataLength(labels, &size), "label");
  text = malloc(size + 1);
  if (!offsets || !text) fail("label", "out of memory");
  check(ort->GetStringTensorContent(labels, text, size, offsets, count), "label");
  check(ort->GetTensorMutableData(scores, (void**)&score), "score");
  offsets[count] = size;
  for (i = 0; i < count; i++) {
    printf("%.*s\t%.9g\n", (int)(offsets[i + 1] - offsets[i]), text + offsets[i], score[i]);
  }
  free(text);
  free(offsets);
}

/* Runs the network on an input `runs` times. Returns the seconds of the fastest run. */
static double answer(OrtSession* session, const char* input, int runs) {
  const char* const outputs[] = {"label", "score"};
  OrtValue *value = NULL, *results[2] = {NULL, NULL};
  OrtAllocator* allocator;
  char* name;
  double fastest = 0;
  int run, i;
  check(ort->GetAllocatorWithDefaultOptions(&allocator), "allocator");
  check(ort->SessionGetInputName(session, 0, allocator, &name), "input");
  if (strcmp(name, "image") == 0)
    value = image_of(input, allocator);
  else if (strcmp(name, "text") == 0)
    value = text_of(input, allocator);
  else
    fail(name, "a network takes neither image nor text: make one that does by `onnx-snn pack`");
  for (run = 0; run < runs; run++) {
    const double start = seconds();
    for (i = 0; i < 2; i++) {
      if (results[i]) ort->ReleaseValue(results[i]);
      results[i] = NULL;
    }
    check(ort->Run(session, NULL, (const char* const*)&name, (const OrtValue* const*)&value, 1, outputs, 2, results),
          "run");
    if (run == 0 || seconds() - start < fastest) fastest = seconds() - start;
  }
  print_answer(results[0], results[1]);
  for (i = 0; i < 2; i++) ort->ReleaseValue(results[i]);
  ort->ReleaseValue(value);
  check(ort->AllocatorFree(allocator, name), "input");
  return fastest;
}

int main(int argc, char** argv) {
  const char** libraries = malloc((size_t)argc * sizeof *libraries);
  OrtEnv* environment;
  OrtSessionOptions* options;
  OrtSession* session;
  int count = 0, threads = 0, runs = 1, option, i;
  double start, created, fastest;
  if (!libraries) fail("arguments", "out of memory");
  while ((option = getopt(argc, argv, "l:g:t:n:")) != -1) {
    if (option == 'l')
      libraries[count++] = optarg;
    else if (option == 'g')
      load(optarg, RTLD_GLOBAL);
    else if (option == 't')
      threads = atoi(optarg);
    else if (option == 'n' && atoi(optarg) > 0)
      runs = atoi(optarg);
    else
      optind = argc;
  }
  if (argc - optind != 3) {
    fputs("usage: classify [-l LIBRARY]... [-g LIBRARY]... [-t THREADS] [-n RUNS] ONNXRUNTIME MODEL INPUT\n", stderr);
    return 2;
  }
  argv += optind;
  ort = load_onnxruntime(argv[0]);
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "classify", &environment), "environment");
  check(ort->CreateSessionOptions(&options), "options");
  if (threads > 0) check(ort->SetIntraOpNumThreads(options, threads), "threads");
  for (i = 0; i < count; i++) check(ort->RegisterCustomOpsLibrary_V2(options, libraries[i]), libraries[i]);
  start = seconds();
  check(ort->CreateSession(environment, argv[1], options, &session), argv[1]);
  created = seconds() - start;
  fastest = answer(session, argv[2], runs);
  fprintf(stderr, "session %.3f s, run %.6f s\n", created, fastest);
  ort->ReleaseSession(session);
  ort->ReleaseSessionOptions(options);
  ort->ReleaseEnv(environment);
  free(libraries);
  return 0;
}
