/* config.c - configuration files: what is read, and every mistake with file, line, key and way out. */
#include "host/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[64];
static struct config_problem problem;

static void setup(void)
{
    strcpy(path, "/tmp/meridian-config-XXXXXX");
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
}

static void teardown(void)
{
    unlink(path);
}

TestSuite(config, .init = setup, .fini = teardown);

static void write_text(const char *text)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static struct config *load(const char *text, enum role role)
{
    write_text(text);
    return config_load(path, role, 0, NULL, &problem);
}

/* The problem begins with path:line and holds the words. */
static void refuses(enum role role, const char *text, unsigned line, const char *words)
{
    char where[96];
    snprintf(where, sizeof where, line != 0 ? "%s:%u: " : "%s: ", path, line);
    cr_assert_null(load(text, role), "accepted: %s", text);
    cr_assert_eq(strncmp(problem.text, where, strlen(where)), 0, "%s\nis not at line %u", problem.text, line);
    cr_assert_not_null(strstr(problem.text, words), "%s\ndoes not say: %s", problem.text, words);
}

Test(config, an_empty_file_of_a_broker_has_the_defaults)
{
    struct config *config = load("", ROLE_BROKER);
    cr_assert_not_null(config, "%s", problem.text);
    struct broker_options defaults;
    broker_options_default(&defaults);
    struct host_options host = config_host(config);
    cr_assert_eq(config->broker.region_grace_ms, defaults.region_grace_ms);
    cr_assert_str_eq(host.clients, "tcp://127.0.0.1:7700");
    cr_assert_str_eq(host.children, "tcp://127.0.0.1:7701");
    cr_assert_null(host.parent);
    cr_assert_str_eq(host.role, "broker");
    cr_assert_eq(host.store_max_bytes, 4ull << 30);
    cr_assert_not(host.insecure);
    config_free(config);
}

Test(config, every_value_arrives)
{
    struct config *config =
        load("[node]\ndata = /tmp/x\nlog_level = warn\n"
             "[store]\nmax_bytes = 16MiB\nwatermark = 70\n"
             "[limits]\npayload_bytes = 64KiB\ntasks = 1000\n"
             "[broker] ; with a comment\nclients = tcp://127.0.0.1:1\nregions = ipc:///tmp/r\n"
             "beat = 100ms\nregion_grace = 2m\nrerun_max = 0\nwindow = 7\n"
             "result_ttl = 2d\ndedupe_ttl = 1h\ndedupe_ids_max = 9\n",
             ROLE_BROKER);
    cr_assert_not_null(config, "%s", problem.text);
    struct host_options host = config_host(config);
    cr_assert_str_eq(host.data, "/tmp/x");
    cr_assert_eq(host.log_level, TRACE_WARN);
    cr_assert_eq(host.store_max_bytes, 16u << 20);
    cr_assert_str_eq(host.children, "ipc:///tmp/r");
    cr_assert_eq(config->broker.watermark_percent, 70);
    cr_assert_eq(config->broker.payload_bytes_max, 65536);
    cr_assert_eq(config->broker.tasks_max, 1000);
    cr_assert_eq(config->broker.beat_ms, 100);
    cr_assert_eq(config->broker.region_grace_ms, 120000);
    cr_assert_eq(config->broker.rerun_max, 0);
    cr_assert_eq(config->broker.window, 7);
    cr_assert_eq(config->broker.result_ttl_ms, 172800000);
    cr_assert_eq(config->broker.dedupe_ttl_ms, 3600000);
    cr_assert_eq(config->broker.dedupe_ids_max, 9);
    config_free(config);
}

Test(config, a_worker_with_types)
{
    char long_type[NAME_BYTES_MAX + 1];
    memset(long_type, 't', NAME_BYTES_MAX);
    long_type[NAME_BYTES_MAX] = '\0';
    char text[1024];
    snprintf(
        text, sizeof text,
        "[worker]\nname = w1\nslots = 4\ncommands = allow\ncapabilities = gpu, big\noutput_bytes = 1KiB\n"
        "[type resize]\ncommand = /bin/resize --width \"a b\" \"\"\n   --more words\n"
        "[type %s]\nbuiltin = noop\n",
        long_type);
    struct config *config = load(text, ROLE_WORKER);
    cr_assert_not_null(config, "%s", problem.text);
    static const char *const words[] = {"/bin/resize", "--width", "a b", "", "--more", "words"};
    cr_assert(config->worker.commands);
    cr_assert_eq(config->output_bytes, 1024);
    cr_assert_eq(config->worker.capability_count, 2);
    cr_assert_str_eq(config->worker.capabilities[1], "big");
    cr_assert_eq(config->worker.handler_count, 2);
    cr_assert_str_eq(config->worker.handlers[0].type, "resize");
    cr_assert_eq(config->handlers[0].word_count, 6);
    for (int i = 0; i < 6; i++)
        cr_assert_str_eq(config->handlers[0].words[i], words[i]);
    cr_assert_null(config->handlers[0].words[6]);
    cr_assert_str_eq(config->worker.handlers[1].type, long_type);
    cr_assert(config->worker.handlers[1].builtin_noop);
    config_free(config);
}

Test(config, the_role_is_found_in_the_file)
{
    write_text("[node]\ndata = /tmp/x\n[region]\nname = eu\n");
    struct config *config = config_load(path, ROLE_COUNT, 0, NULL, &problem);
    cr_assert_not_null(config, "%s", problem.text);
    cr_assert_eq(config->role, ROLE_REGION);
    cr_assert_str_eq(config_host(config).node, "eu");
    cr_assert_str_eq(config_host(config).parent, "tcp://127.0.0.1:7701");
    config_free(config);
    refuses(ROLE_COUNT, "[node]\ndata = /tmp/x\n", 0, "expected a section [broker], [region] or [worker]");
}

Test(config, overrides_come_last)
{
    char *overrides[] = {"broker.beat=200ms", "node.insecure=yes"};
    write_text("[broker]\nbeat = 1s\n");
    struct config *config = config_load(path, ROLE_BROKER, 2, overrides, &problem);
    cr_assert_not_null(config, "%s", problem.text);
    cr_assert_eq(config->broker.beat_ms, 200);
    cr_assert(config_host(config).insecure);
    config_free(config);
}

Test(config, mistakes_in_overrides_are_named)
{
    static const struct {
        char *override;
        const char *words;
    } bad[] = {
        {"broker.beat=soon", "-s broker.beat=soon: [broker] beat = soon: expected a duration"},
        {"broker.beat", "expected section.key=value"},
        {"beat=1s", "expected section.key=value"},
        {"worker.slots=1", "[worker] has no place in the file of a broker"},
        {"broker.beet=1s", "[broker] beet is no key"},
    };
    write_text("");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *overrides[] = {bad[i].override};
        cr_assert_null(config_load(path, ROLE_BROKER, 1, overrides, &problem));
        cr_assert_not_null(strstr(problem.text, bad[i].words), "%s", problem.text);
    }
}

Test(config, mistakes_are_named_with_their_line)
{
    static const struct {
        enum role role;
        const char *text;
        unsigned line;
        const char *words;
    } bad[] = {
        {ROLE_BROKER, "[broker]\nbeet = 1s\n", 2, "[broker] beet is no key; conf/broker.ini has them all"},
        {ROLE_BROKER, "# x\n\n[brooker]\n", 3, "[brooker] is no section: expected [node]"},
        {ROLE_BROKER, "[region]\nname = eu\n", 1, "[region] has no place in the file of a broker"},
        {ROLE_BROKER, "[broker\nbeat = 1s\n", 1, "a section without ']'"},
        {ROLE_BROKER, "[broker]\nbeat 1s\n", 2, "expected [section] or key = value"},
        {ROLE_BROKER, "beat = 1s\n", 1, "beat stands before any section"},
        {ROLE_BROKER, "[broker]\nbeat = 1s\n\nbeat = 1s\n", 4, "[broker] beat is given twice"},
        {ROLE_BROKER, "[broker]\nbeat = 1s\n  2s\n", 3, "beat is given twice"},
        {ROLE_BROKER, "[broker]\nbeat = 5\n", 2, "beat = 5: expected a duration like 250ms"},
        {ROLE_BROKER, "[broker]\nbeat = 9ms\n", 2, "from 10ms to 1m"},
        {ROLE_BROKER, "[broker]\nwindow = many\n", 2, "expected a whole number, from 1 to 65536"},
        {ROLE_BROKER, "[broker]\nwindow = 1KiB\n", 2, "expected a whole number"},
        {ROLE_BROKER, "[broker]\nwindow = 65537\n", 2, "from 1 to 65536"},
        {ROLE_BROKER, "[broker]\nwindow = -1\n", 2, "from 1 to 65536"},
        {ROLE_BROKER, "[broker]\nwindow =\n", 2, "from 1 to 65536"},
        {ROLE_BROKER, "[broker]\nclients = 127.0.0.1:7700\n", 2, "an endpoint like tcp://127.0.0.1:7700"},
        {ROLE_BROKER, "[store]\nmax_bytes = 4GB\n", 2, "expected a size like 512, 64KiB"},
        {ROLE_BROKER, "[store]\nmax_bytes = 1MiB\n", 2, "from 16MiB to 16TiB"},
        {ROLE_BROKER, "[store]\nwatermark = 180\n", 2,
         "watermark = 180: expected a whole number, from 10 to 95"},
        {ROLE_BROKER, "[node]\nlog_level = loud\n", 2, "log_level = loud: expected one of debug|info|warn"},
        {ROLE_BROKER, "[node]\nlog_level = inf\n", 2, "expected one of"},
        {ROLE_BROKER, "[node]\ndata =\n", 2, "expected 1 to 255 bytes"},
        {ROLE_REGION, "[region]\nbeat = 1s\n", 0, "[region] name is missing"},
        {ROLE_REGION, "[region]\nname = eu/w1\n", 2, "without spaces, '/'"},
        {ROLE_REGION, "[region]\nname = eu\nretry_base = 2h\nretry_cap = 1h\n", 0, "retry_base is above"},
        {ROLE_REGION, "[region]\nname = eu\nreconnect_min = 2s\n", 0, "reconnect_min is above"},
        {ROLE_WORKER, "[worker]\nname = w1\nslots = 0\n", 3, "from 1 to 65536"},
        {ROLE_WORKER, "[worker]\nname = w1\ncommands = perhaps\n", 3, "expected one of deny|allow"},
        {ROLE_WORKER, "[worker]\nname = w1\ncapabilities = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\n", 3,
         "at most 16"},
        {ROLE_WORKER, "[store]\nwatermark = 50\n", 2, "[store] watermark has no meaning for a worker"},
        {ROLE_WORKER, "[worker]\nname = w1\n[type x]\n", 0, "[type x] has no command"},
        {ROLE_WORKER, "[worker]\nname = w1\n[type x]\nbuiltin = yesop\n", 4, "expected noop"},
        {ROLE_WORKER, "[worker]\nname = w1\n[type x]\nbuiltin = noop\ncommand = y\n", 5,
         "has a command or builtin"},
        {ROLE_WORKER, "[worker]\nname = w1\n[type x]\ncommand = y \"z\n", 4, "closed quotes"},
        {ROLE_WORKER, "[worker]\nname = w1\n[type command]\ncommand = y\n", 3, "other than \"command\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuses(bad[i].role, bad[i].text, bad[i].line, bad[i].words);
}

Test(config, a_line_that_is_too_long_is_refused)
{
    char text[600];
    strcpy(text, "[node]\ndata = /");
    memset(text + strlen(text), 'x', 300);
    text[7 + 8 + 300] = '\0';
    strcat(text, "\n");
    refuses(ROLE_BROKER, text, 2, "a line of more than 198 bytes");
}

Test(config, a_file_that_is_not_there_is_named)
{
    cr_assert_null(config_load("/no/such.ini", ROLE_BROKER, 0, NULL, &problem));
    cr_assert_str_eq(problem.text, "/no/such.ini: No such file or directory; give the file with -c");
}

Test(config, the_documented_files_are_good)
{
    static const char *const files[ROLE_COUNT] = {"conf/broker.ini", "conf/region.ini", "conf/worker.ini"};
    for (int role = 0; role < ROLE_COUNT; role++) {
        char file[512];
        snprintf(file, sizeof file, "%s/%s", MERIDIAN_SOURCE_DIR, files[role]);
        struct config *config = config_load(file, ROLE_COUNT, 0, NULL, &problem);
        cr_assert_not_null(config, "%s", problem.text);
        cr_assert_eq((int)config->role, role);
        config_free(config);
    }
}
