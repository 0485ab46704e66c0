/* dev_requests.c - what `meridian dev VERB NODE` asks of the supervisor: one function for each verb.
 *
 * An answer of EXIT_OK is for people and may be empty; any other says what is wrong and how to go on. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/dev_control.h"
#include "cli/dev_state.h"
#include "cli/table.h"
#include "proto/assert.h"

__attribute__((format(printf, 3, 4))) static void reply(int connection, int exit_status, const char *format,
                                                        ...)
{
    char text[DEV_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dev_control_reply(connection, exit_status, bytes_of(text));
}

/* What was done, in the terminal of `meridian dev` too: the story of the faults, beside each other. */
static void tell(const char *verb, const struct dev_node *node)
{
    printf("%s %s\n", verb, node->name);
    fflush(stdout);
}

static const char *since(uint64_t since_ms)
{
    static char text[SPAN_TEXT_BYTES];
    return age_text(dev_now_ms() - since_ms, text);
}

static bool is_up(const struct dev_node *node, int connection)
{
    bool up = node->pid != 0 && node->kill_reply < 0;
    if (!up)
        reply(connection, EXIT_FAILURE, "%s is not running. Start it: meridian dev start %s", node->name,
              node->name);
    return up;
}

static const char *grace_of(const struct supervisor *supervisor, const struct dev_node *node)
{
    return node->tier == DEV_WORKER    ? DEV_WORKER_GRACE
           : supervisor->plan->sandbox ? DEV_SANDBOX_REGION_GRACE
                                       : "60s";
}

/* ---- kill, start ---- */

static void on_kill(struct supervisor *supervisor, struct dev_node *node, const char *word, int connection)
{
    (void)supervisor, (void)word;
    if (!is_up(node, connection))
        return;
    kill(node->pid, SIGKILL);
    node->kill_reply = connection; /* answered when it is reaped: dev_killed */
    tell("kill", node);
}

void dev_killed(const struct supervisor *supervisor, struct dev_node *node)
{
    int connection = node->kill_reply;
    const char *name = node->name, *grace = grace_of(supervisor, node);
    node->kill_reply = -1;
    switch (node->tier) {
    case DEV_BROKER:
        reply(connection, EXIT_OK,
              "%s is killed: nobody is answered, regions go on with what they have.\n"
              "Undo it with: meridian dev start %s",
              name, name);
        return;
    case DEV_REGION:
        reply(
            connection, EXIT_OK,
            "%s is killed; its workers go on with what they run. If that lasts %s, its tasks run elsewhere, "
            "marked dup_possible.\n"
            "Undo it with: meridian dev start %s",
            name, grace, name);
        return;
    case DEV_WORKER:
        reply(
            connection, EXIT_OK,
            "%s is killed with the processes of its tasks. They run again, marked dup_possible, after %s or "
            "when it is back.\n"
            "Undo it with: meridian dev start %s",
            name, grace, name);
        return;
    case DEV_TIER_COUNT:
        break;
    }
    ASSERT(false);
}

static void on_start(struct supervisor *supervisor, struct dev_node *node, const char *word, int connection)
{
    (void)word;
    const char *down_for = since(node->since_ms);
    if (node->pid != 0) {
        reply(connection, EXIT_FAILURE, "%s runs already", node->name);
    } else if (!dev_start_node(supervisor, node)) {
        reply(connection, EXIT_FAILURE, "cannot start %s: %s", node->name, strerror(errno));
    } else {
        reply(connection, EXIT_OK, "%s is started, after %s", node->name, down_for);
        tell("start", node);
    }
}

/* ---- pause, resume ---- */

static void on_pause(struct supervisor *supervisor, struct dev_node *node, const char *word, int connection)
{
    (void)word;
    if (!is_up(node, connection))
        return;
    if (node->paused) {
        reply(connection, EXIT_FAILURE, "%s is paused already, for %s", node->name, since(node->since_ms));
        return;
    }
    kill(node->pid, SIGSTOP);
    node->paused = true;
    node->since_ms = dev_now_ms();
    tell("pause", node);
    if (node->tier == DEV_BROKER)
        reply(connection, EXIT_OK,
              "broker is paused: nobody is answered, regions go on with what they have.\n"
              "Undo it with: meridian dev resume broker");
    else
        reply(connection, EXIT_OK,
              "%s is paused%s. If that lasts %s, its tasks run elsewhere, marked dup_possible.\n"
              "Undo it with: meridian dev resume %s",
              node->name, node->tier == DEV_WORKER ? " (the processes of its tasks go on)" : "",
              grace_of(supervisor, node), node->name);
}

void dev_resume(struct dev_node *node)
{
    if (!node->paused)
        return;
    kill(node->pid, SIGCONT);
    node->paused = false;
    node->since_ms = dev_now_ms();
}

static void on_resume(struct supervisor *supervisor, struct dev_node *node, const char *word, int connection)
{
    (void)supervisor, (void)word;
    if (!is_up(node, connection))
        return;
    if (!node->paused) {
        reply(connection, EXIT_FAILURE, "%s is not paused", node->name);
        return;
    }
    reply(connection, EXIT_OK,
          "%s goes on after %s. What comes too late is refused: meridian task list --late", node->name,
          since(node->since_ms));
    dev_resume(node);
    tell("resume", node);
}

/* ---- partition, heal ---- */

static const struct {
    const char *word, *text;
    unsigned cut;
} cuts[] = {
    {"", "cut off from", CUT_BOTH}, {"up", "not heard by", CUT_UP}, {"down", "not reached by", CUT_DOWN}};

enum { CUT_COUNT = sizeof cuts / sizeof cuts[0] };

static const char *cut_text(unsigned cut)
{
    int at = 0;
    while (at < CUT_COUNT && cuts[at].cut != cut)
        at++;
    ASSERT(at < CUT_COUNT);
    return cuts[at].text;
}

static bool has_sandbox(const struct supervisor *supervisor, int connection)
{
    if (supervisor->shim == NULL)
        reply(connection, EXIT_FAILURE,
              "this cluster has no sandbox: its links cannot be cut. Start it with one: meridian dev "
              "--sandbox, "
              "or with --rtt eu-us=80ms, --jitter 5ms, --loss 1%%");
    return supervisor->shim != NULL;
}

static void on_partition(struct supervisor *supervisor, struct dev_node *node, const char *word,
                         int connection)
{
    int at = 0;
    if (!has_sandbox(supervisor, connection))
        return;
    if (node->tier == DEV_BROKER) {
        reply(connection, EXIT_FAILURE,
              "broker has no link of its own; cut off its regions, as in: meridian dev partition %s",
              supervisor->plan->regions[0]);
        return;
    }
    while (at < CUT_COUNT && strcmp(cuts[at].word, word) != 0)
        at++;
    if (at == CUT_COUNT) {
        reply(connection, EXIT_USAGE, "--one-way %s: up or down", word);
        return;
    }
    const char *parent = dev_plan_parent(supervisor->plan, node)->name;
    if (node->cut_since_ms != 0) {
        reply(connection, EXIT_FAILURE, "%s is %s %s already, for %s; heal it first: meridian dev heal %s",
              node->name, cut_text(atomic_load(&shim_link(supervisor->shim, node)->cut)), parent,
              since(node->cut_since_ms), node->name);
        return;
    }
    shim_cut(supervisor->shim, node, cuts[at].cut);
    node->cut_since_ms = dev_now_ms();
    tell("partition", node);
    if (node->pid == 0)
        reply(connection, EXIT_OK,
              "%s is %s %s, also when it is started; now it is not running.\n"
              "Undo it with: meridian dev heal %s",
              node->name, cuts[at].text, parent, node->name);
    else
        reply(connection, EXIT_OK,
              "%s is %s %s. If that lasts %s, its tasks run elsewhere, marked dup_possible.\n"
              "Undo it with: meridian dev heal %s",
              node->name, cuts[at].text, parent, grace_of(supervisor, node), node->name);
}

void dev_heal(struct supervisor *supervisor, struct dev_node *node)
{
    if (node->cut_since_ms == 0)
        return;
    shim_cut(supervisor->shim, node, 0);
    node->cut_since_ms = 0;
}

static void on_heal(struct supervisor *supervisor, struct dev_node *node, const char *word, int connection)
{
    (void)word;
    if (!has_sandbox(supervisor, connection))
        return;
    if (node->tier == DEV_BROKER) {
        reply(connection, EXIT_FAILURE,
              "broker has no link of its own; heal those of its regions: meridian dev heal all");
        return;
    }
    if (node->cut_since_ms == 0) {
        reply(connection, EXIT_FAILURE, "%s is not cut off", node->name);
        return;
    }
    if (node->pid == 0)
        reply(connection, EXIT_OK, "the link of %s with %s is whole again after %s; %s is not running",
              node->name, dev_plan_parent(supervisor->plan, node)->name, since(node->cut_since_ms),
              node->name);
    else
        reply(connection, EXIT_OK,
              "%s and %s reach each other again after %s. What comes too late is refused: meridian task list "
              "--late",
              node->name, dev_plan_parent(supervisor->plan, node)->name, since(node->cut_since_ms));
    dev_heal(supervisor, node);
    tell("heal", node);
}

/* ---- the table ---- */

static const struct {
    const char *verb;
    void (*act)(struct supervisor *, struct dev_node *, const char *word, int connection);
} verbs[] = {{"kill", on_kill},     {"start", on_start},         {"pause", on_pause},
             {"resume", on_resume}, {"partition", on_partition}, {"heal", on_heal}};

enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void unknown_node(const struct supervisor *supervisor, const char *name, int connection)
{
    char text[DEV_TEXT_BYTES_MAX];
    int size = snprintf(text, sizeof text, "no node '%s' here; there are:", name);
    for (unsigned i = 0; i < supervisor->plan->node_count && size < (int)sizeof text; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, " %s", supervisor->plan->nodes[i].name);
    reply(connection, EXIT_NOT_FOUND, "%s", text);
}

/* heal all, resume all: as things were. */
static void undo_all(struct supervisor *supervisor, bool heal, int connection)
{
    unsigned count = 0;
    if (heal && !has_sandbox(supervisor, connection))
        return;
    for (unsigned i = 0; i < supervisor->plan->node_count; i++) {
        struct dev_node *node = &supervisor->plan->nodes[i];
        if (heal ? node->cut_since_ms == 0 : !node->paused)
            continue;
        count++;
        tell(heal ? "heal" : "resume", node);
        if (heal)
            dev_heal(supervisor, node);
        else
            dev_resume(node);
    }
    reply(connection, EXIT_OK, heal ? "%u link%s healed" : "%u node%s resumed", count, count == 1 ? "" : "s");
}

/* "VERB NODE WORD"; the last may be missing. */
static void act(struct supervisor *supervisor, char *request, int connection)
{
    char *rest = request;
    const char *verb = strsep(&rest, " "), *name = rest == NULL ? "" : strsep(&rest, " ");
    const char *word = rest == NULL ? "" : rest;
    struct dev_node *node = dev_plan_find(supervisor->plan, name);
    int at = 0;
    while (at < VERB_COUNT && strcmp(verbs[at].verb, verb) != 0)
        at++;
    bool undo = at < VERB_COUNT && (verbs[at].act == on_heal || verbs[at].act == on_resume);
    if (strcmp(verb, "status") == 0)
        dev_status_reply(supervisor, connection);
    else if (at == VERB_COUNT)
        reply(connection, EXIT_USAGE, "the supervisor does not know '%s'", verb);
    else if (supervisor->phase == DEV_STOPPING)
        reply(connection, EXIT_FAILURE, "the cluster is stopping");
    else if (undo && strcmp(name, DEV_ALL) == 0)
        undo_all(supervisor, verbs[at].act == on_heal, connection);
    else if (node == NULL)
        unknown_node(supervisor, name, connection);
    else
        verbs[at].act(supervisor, node, word, connection);
}

void dev_on_request(struct supervisor *supervisor)
{
    char request[DEV_REQUEST_BYTES_MAX];
    int connection = dev_control_accept(supervisor->listener, request);
    if (connection >= 0)
        act(supervisor, request, connection);
}
