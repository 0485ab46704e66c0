/* backup.c - copies of the broker's store, and the operator who puts one of them back.
 *
 * Each restore of the plan has a copy of its own, made at some time before it: seconds, most of the run, or
 * when the broker was only just there. It is put back, or now and then the copy of the restore before once
 * more. The operator does as docs/operations.md says: `--restored` as often as the broker was ever started
 * with it, this time included (once, if the copy is younger than the last such start), until the broker has
 * answered; then without. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/assert.h"
#include "sim/node.h"

enum {
    SEEDS_PERCENT = 25,
    FROM_MS = 5000,
    DOWN_MS_MAX = 8000,
    FIRST_MS = 1000,
    SECONDS_MS = 8000,
    SAME_PERCENT = 25, /* the copy of the restore before */
};

struct backup {
    struct disk disk;
    struct standing *standings; /* what the judges knew then; NULL: it was not made */
    uint64_t made_ns;
    uint32_t starts; /* with --restored by then, the last of which had answered; 0 = none, or it had not */
};

struct backups {
    struct backup all[RESTORES_MAX];
    uint32_t planned, first_fault; /* copy i is for fault first_fault + i of the plan */
    uint32_t put_back;             /* the newest that was, + 1; 0 = none yet */
    uint32_t starts;               /* of the broker with --restored */
    bool counts;                   /* the operator has counted them although once is enough */
};

void backups_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->backups->planned; i++) {
        disk_wipe(&sim->backups->all[i].disk);
        free(sim->backups->all[i].standings);
    }
    free(sim->backups);
    sim->backups = NULL;
}

/* How long after the first moment a copy is made for a restore at `until_ms`. */
static uint64_t draw_copy_ms(struct dice *dice, uint64_t until_ms)
{
    uint64_t kind = dice_below(dice, 100);
    if (kind < 15)
        return dice_below(dice, FIRST_MS);
    if (kind < 50 && until_ms > SECONDS_MS)
        return until_ms - dice_below(dice, SECONDS_MS);
    return dice_below(dice, until_ms);
}

/* Behind the plan of all other faults, with dice of its own: those stay what they are. */
void backups_plan(struct sim *sim, uint32_t kind)
{
    struct dice dice = {sim->options.seed * 0xbf58476d1ce4e5b9ull + 5};
    uint64_t until_ms = sim->options.duration_ms / 4 * 3;
    sim->backups = take_memory(1, sizeof *sim->backups);
    bool wanted = dice_percent(&dice, SEEDS_PERCENT) && sim->options.faults && until_ms > FROM_MS;
    uint64_t count = wanted ? dice_between(&dice, 1, RESTORES_MAX) : 0;
    sim->backups->first_fault = sim->fault_count;
    while (sim->backups->planned < count && sim->fault_count < FAULTS_MAX) {
        struct fault *fault = &sim->faults[sim->fault_count];
        uint64_t at_ms = dice_between(&dice, FROM_MS, until_ms);
        uint64_t copy_ms = draw_copy_ms(&dice, at_ms), down_ms = dice_below(&dice, DOWN_MS_MAX) + 1;
        *fault = (struct fault){.at_ns = sim->now_ns + at_ms * MS,
                                .until_ns = sim->now_ns + (at_ms + down_ms) * MS,
                                .kind = kind,
                                .draw = dice_bits(&dice)};
        if (fault->until_ns > sim->calm_ns)
            fault->until_ns = sim->calm_ns;
        timeline_add(&sim->timeline, (struct occasion){.at_ns = sim->now_ns + copy_ms * MS,
                                                       .what = HAPPENS_BACKUP,
                                                       .number = sim->backups->planned++});
        timeline_add(
            &sim->timeline,
            (struct occasion){.at_ns = fault->at_ns, .what = HAPPENS_FAULT, .number = sim->fault_count++});
    }
}

bool backups_planned(const struct sim *sim)
{
    return sim->backups->planned != 0;
}

void backup_make(struct sim *sim, uint32_t number)
{
    struct backup *backup = &sim->backups->all[number];
    disk_copy(&backup->disk, &sim->nodes[0].disk);
    backup->standings = check_remember(sim);
    backup->starts = sim->nodes[0].is_backup ? 0 : sim->backups->starts;
    backup->made_ns = sim->now_ns;
}

void backup_put_back(struct sim *sim, struct sim_node *broker, const struct fault *fault)
{
    struct backups *backups = sim->backups;
    uint32_t number = (uint32_t)(fault - sim->faults) - backups->first_fault;
    if (backups->put_back != 0 && fault->draw % 100 < SAME_PERCENT)
        number = backups->put_back - 1;
    struct backup *backup = &backups->all[number];
    ASSERT(backup->standings != NULL);
    if (sim->options.trace)
        printf("%12.6f %-8s the copy of %.6f is put back\n", (double)sim->now_ns / 1e9, broker->name,
               (double)backup->made_ns / 1e9);
    node_crash(sim, broker);
    disk_copy(&broker->disk, &backup->disk);
    check_restored(sim, backup->standings);
    backups->put_back = number + 1;
    backups->counts = fault->draw >> 32 & 1;
    broker->is_backup = true;
}

void backup_starts(struct sim *sim, struct sim_node *broker)
{
    struct backups *backups = sim->backups;
    broker->restored = 0;
    if (!broker->is_backup)
        return;
    bool is_newest = backups->all[backups->put_back - 1].starts == backups->starts;
    backups->starts++;
    broker->restored = is_newest && !backups->counts ? 1 : backups->starts;
    check_restored_start(sim);
}

void backup_answers(struct sim_node *broker)
{
    broker->is_backup = false;
}
