/* run.h - `meridian broker|region|worker run`, `config check`: from a configuration file to a running node.
 *
 * Exit codes: 0 the node was told to end and has ended, 1 it could not start or go on (the reason is on
 * stderr), 2 a mistake in the configuration or the role.
 */
#ifndef MERIDIAN_CLI_RUN_H
#define MERIDIAN_CLI_RUN_H

#include <stdint.h>

/* `role` is "broker", "region" or "worker"; overrides are "section.key=value"; `restored` is broker_options'.
 * Must be called while the process has one thread and no zmq context: a worker forks its launcher. */
int cli_run(const char *role, const char *config_path, int override_count, char **overrides,
            uint32_t restored);

/* Says whether the file is good, without starting anything. */
int cli_config_check(const char *config_path);

#endif
