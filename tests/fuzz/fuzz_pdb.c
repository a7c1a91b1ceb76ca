/* fuzz_pdb.c - any bytes as a PDB: opening it and asking it everything must neither crash nor hang. */
#include "../unit/pdb_exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pdb_answers answers;

    if (ask_pdb((struct hs_span){data, size}, &answers) == HS_NOT_FOUND)
        __builtin_trap();
    return 0;
}
