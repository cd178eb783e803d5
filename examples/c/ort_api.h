/* SPDX-License-Identifier: Apache-2.0
 * The small part of onnxruntime's C interface that classify.c uses, so that it builds without onnxruntime's headers.
 *
 * The interface is a table of function pointers whose slots never move once released. Where the headers of an
 * onnxruntime are at hand, include its <onnxruntime_c_api.h> in place of this file.
 */
#ifndef ONNX_SNN_EXAMPLE_ORT_API_H
#define ONNX_SNN_EXAMPLE_ORT_API_H

#include <stddef.h>
#include <stdint.h>

#define ORT_API_VERSION 17 /* of onnxruntime 1.17: every later release serves it */

typedef struct OrtAllocator OrtAllocator;
typedef struct OrtEnv OrtEnv;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtStatus OrtStatus; /* null: success */
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef struct OrtValue OrtValue;

typedef enum { ORT_LOGGING_LEVEL_ERROR = 3 } OrtLoggingLevel;
typedef enum {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 = 2,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING = 8
} ONNXTensorElementDataType;

typedef void (*UnusedSlot)(void);

/* The number behind a function is its slot. */
typedef struct OrtApi {
  UnusedSlot unused_0[2];
  const char* (*GetErrorMessage)(const OrtStatus*);                         /* 2 */
  OrtStatus* (*CreateEnv)(OrtLoggingLevel, const char* name, OrtEnv** out); /* 3 */
  UnusedSlot unused_4[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession** out); /* 7 */
  UnusedSlot unused_8[1];
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* inputs, const OrtValue* const* values,
                    size_t input_count, const char* const* outputs, size_t output_count, OrtValue** out); /* 9 */
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions** out);                                            /* 10 */
  UnusedSlot unused_11[13];
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int threads); /* 24 */
  UnusedSlot unused_25[11];
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t index, OrtAllocator*, char** out); /* 36 */
  UnusedSlot unused_37[11];
  OrtStatus* (*CreateTensorAsOrtValue)(OrtAllocator*, const int64_t* sides, size_t rank, ONNXTensorElementDataType,
                                       OrtValue** out); /* 48 */
  UnusedSlot unused_49[2];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void** out);                                                    /* 51 */
  OrtStatus* (*FillStringTensor)(OrtValue*, const char* const* strings, size_t count);                          /* 52 */
  OrtStatus* (*GetStringTensorDataLength)(const OrtValue*, size_t* out);                                        /* 53 */
  OrtStatus* (*GetStringTensorContent)(const OrtValue*, void* out, size_t size, size_t* offsets, size_t count); /* 54 */
  UnusedSlot unused_55[9];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, size_t* out); /* 64 */
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo** out);   /* 65 */
  UnusedSlot unused_66[10];
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*); /* 76 */
  UnusedSlot unused_77[1];
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator** out); /* 78 */
  UnusedSlot unused_79[13];
  void (*ReleaseEnv)(OrtEnv*);       /* 92 */
  void (*ReleaseStatus)(OrtStatus*); /* 93 */
  UnusedSlot unused_94[1];
  void (*ReleaseSession)(OrtSession*); /* 95 */
  void (*ReleaseValue)(OrtValue*);     /* 96 */
  UnusedSlot unused_97[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*); /* 99 */
  void (*ReleaseSessionOptions)(OrtSessionOptions*);                 /* 100 */
  UnusedSlot unused_101[127];
  OrtStatus* (*RegisterCustomOpsLibrary_V2)(OrtSessionOptions*, const char* library); /* 228 */
} OrtApi;

typedef struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version); /* null: a version newer than this onnxruntime */
  const char* (*GetVersionString)(void);
} OrtApiBase;

#endif
