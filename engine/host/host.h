/* host.h - the door of host/: trust and limits around scripts. */
#ifndef HS_HOST_H
#define HS_HOST_H

/* Runs the command line `heapsift argv[1] ...` and returns its exit code: 0 done, 1 a finding at or above --fail-on,
 * 2 usage, 3 the input cannot be read, 4 part of what was asked for could not be read, 5 a script or a limit failed,
 * 6 what was asked for is not there, 130 interrupted. Writes to stdout and stderr. Once per process. */
int hs_host_run(int argc, char **argv);

#endif
