// Redis' C client library (Debian: libhiredis-dev); its reader of replies is what is used.
#ifndef CHIREDIS_H
#define CHIREDIS_H

#include <hiredis/hiredis.h>

#endif
