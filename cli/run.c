/* run.c - see run.h. */
#include "cli/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/config.h"
#include "worker/launcher_io.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int no_memory(void)
{
    fprintf(stderr, "meridian: no memory to start; free memory and start again\n");
    return EXIT_FAILED;
}

/* ---- one function per node: its own type behind the host's pointers ---- */

static void step_broker(void *self, const struct event *event, struct outputs *outputs)
{
    broker_step(self, event, outputs);
}

static uint64_t broker_due_ns(const void *self)
{
    return broker_deadline_ns(self);
}

static bool broker_ended(const void *self)
{
    return broker_done(self);
}

static int run_broker(const struct config *config)
{
    struct host_options options = config_host(config);
    struct broker *broker = broker_new(&config->broker);
    if (broker == NULL)
        return no_memory();
    int code = host_run(&options, (struct node){broker, step_broker, broker_due_ns}, broker_ended);
    if (broker_no_floor_left(broker)) {
        fprintf(stderr,
                "meridian: this store has been restored %d times, and no custody is above all that it gave "
                "out; if it was not put back just now, start the broker without --restored\n",
                BROKER_RESTORES_MAX);
        code = EXIT_FAILED;
    }
    broker_free(broker);
    return code;
}

static void step_region(void *self, const struct event *event, struct outputs *outputs)
{
    region_step(self, event, outputs);
}

static uint64_t region_due_ns(const void *self)
{
    return region_deadline_ns(self);
}

static bool region_ended(const void *self)
{
    return region_done(self);
}

static int run_region(const struct config *config)
{
    struct host_options options = config_host(config);
    struct region *region = region_new(&config->region);
    if (region == NULL)
        return no_memory();
    int code = host_run(&options, (struct node){region, step_region, region_due_ns}, region_ended);
    region_free(region);
    return code;
}

static void step_worker(void *self, const struct event *event, struct outputs *outputs)
{
    worker_step(self, event, outputs);
}

static uint64_t worker_due_ns(const void *self)
{
    return worker_deadline_ns(self);
}

static bool worker_ended(const void *self)
{
    return worker_done(self);
}

/* The launcher comes first: it is forked while there is nothing that a fork would break. */
static int run_worker(const struct config *config)
{
    struct host_options options = config_host(config);
    struct launcher_handler handlers[HANDLERS_MAX];
    for (uint32_t i = 0; i < config->worker.handler_count; i++)
        handlers[i].words = config->handlers[i].word_count != 0 ? config->handlers[i].words : NULL;
    struct launcher_options launcher_options = {config->output_bytes, handlers, config->worker.handler_count};
    struct launcher *launcher = launcher_fork(&launcher_options);
    if (launcher == NULL) {
        fprintf(stderr,
                "meridian: cannot start the launcher of processes: %s; raise the limit of processes "
                "(ulimit -u)\n",
                strerror(errno));
        return EXIT_FAILED;
    }
    struct host_launcher hooks = {launcher, launcher_fill_poll, launcher_next_event, launcher_perform};
    struct worker *worker = worker_new(&config->worker);
    if (worker == NULL) {
        launcher_close(launcher);
        return no_memory();
    }
    options.launcher = &hooks;
    int code = host_run(&options, (struct node){worker, step_worker, worker_due_ns}, worker_ended);
    worker_free(worker);
    launcher_close(launcher);
    return code;
}

int cli_run(const char *role_name, const char *config_path, int override_count, char **overrides,
            uint32_t restored)
{
    static int (*const runs[ROLE_COUNT])(const struct config *) = {run_broker, run_region, run_worker};
    enum role role = role_of(role_name);
    struct config_problem problem;
    if (role == ROLE_COUNT) {
        fprintf(stderr, "meridian: %s is no node; one of broker, region, worker\n", role_name);
        return EXIT_USAGE;
    }
    struct config *config = config_load(config_path, role, override_count, overrides, &problem);
    if (config == NULL) {
        fprintf(stderr, "meridian: %s\n", problem.text);
        return EXIT_USAGE;
    }
    config->broker.restored = restored;
    int code = runs[role](config);
    config_free(config);
    return code;
}

int cli_config_check(const char *config_path)
{
    struct config_problem problem;
    struct config *config = config_load(config_path, ROLE_COUNT, 0, NULL, &problem);
    if (config == NULL) {
        fprintf(stderr, "meridian: %s\n", problem.text);
        return EXIT_USAGE;
    }
    printf("%s: a good configuration of a %s\n", config_path, role_text(config->role));
    config_free(config);
    return 0;
}
