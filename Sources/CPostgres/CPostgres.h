// PostgreSQL's C client library (Debian: libpq-dev).
#ifndef CPOSTGRES_H
#define CPOSTGRES_H

// Debian's place first, so that no pkg-config is needed to find it.
#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
#else
#include <libpq-fe.h>
#endif

#endif
