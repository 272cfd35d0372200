// SHA-512 of data that comes in pieces (FIPS 180-4).
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstring>

#include "native.h"

namespace native {

using Digest = std::array<uint8_t, kDigestBytes>;

class Sha512 {
 public:
  Sha512() : context_(EVP_MD_CTX_new()) {
    if (!context_ || EVP_DigestInit_ex(context_, EVP_sha512(), nullptr) != 1) fail("EVP_DigestInit", {}, ENOMEM);
  }
  ~Sha512() { EVP_MD_CTX_free(context_); }
  // The hash of all that `other` has taken in so far.
  Sha512(const Sha512 &other) : Sha512() {
    if (EVP_MD_CTX_copy_ex(context_, other.context_) != 1) fail("EVP_MD_CTX_copy", {}, ENOMEM);
  }
  Sha512 &operator=(const Sha512 &) = delete;
  void update(const char *data, size_t length) { EVP_DigestUpdate(context_, data, length); }
  Digest finish() {
    Digest digest;
    EVP_DigestFinal_ex(context_, digest.data(), nullptr);
    return digest;
  }

 private:
  EVP_MD_CTX *context_;
};

// Whether `data` has the digest `wanted`.
inline bool hasDigest(std::string_view data, std::string_view wanted) {
  Sha512 hash;
  hash.update(data.data(), data.size());
  return std::memcmp(hash.finish().data(), wanted.data(), kDigestBytes) == 0;
}

}  // namespace native
