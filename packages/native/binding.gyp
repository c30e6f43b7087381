{
  "targets": [
    {
      "target_name": "sidecard_native",
      # By chapter; src/c/native.h is where to begin to read.
      "sources": ["<!@(ls -1 src/c/*.c)"],
      # 9 and not 10: an addon that asks for 10 crashes Node 20 at load instead of saying so.
      "defines": ["NAPI_VERSION=9", "_GNU_SOURCE"],
      "cflags": ["-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
      # A worker that ends would unload the code of the SIGBUS handler.
      "ldflags": ["-Wl,-z,nodelete"]
    }
  ]
}
