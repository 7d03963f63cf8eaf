// Redis' C client library (Debian: libhiredis-dev); its reader of replies is what is used. Only its declarations come
// from here: the library is loaded when the transport is configured (GatewayRedis/HiredisLibrary.swift).
#ifndef CHIREDIS_H
#define CHIREDIS_H

#include <hiredis/hiredis.h>

#define CHIREDIS_TEXT_OF(name) #name
#define CHIREDIS_TEXT(name) CHIREDIS_TEXT_OF(name)

/// The file whose records are laid out as declared here.
static const char chiredis_library_name[] = "libhiredis.so." CHIREDIS_TEXT(HIREDIS_SONAME);

#endif
