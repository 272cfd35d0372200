{
  "targets": [
    {
      "target_name": "image_unpacker",
      "sources": ["<!@(node -p \"require('fs').readdirSync('native').filter(name => name.endsWith('.cc')).sort().map(name => 'native/' + name).join(' ')\")"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except"],
      "defines": ["NAPI_VERSION=9", "_GNU_SOURCE"],
      "cflags!": ["-O3"],
      "cflags": ["-O2", "-fvisibility=hidden"],
      "cflags_cc!": ["-std=gnu++17"],
      "cflags_cc": ["-std=gnu++20", "-Wall", "-Wextra"],
      "libraries": ["-pthread"]
    }
  ]
}
