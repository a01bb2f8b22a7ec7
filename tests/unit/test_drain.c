/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a ring while its process runs and folds blocks, at any point between two reads; and rings
 * that claim the same block or table.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "recording.h"
#include "recording/attach.h"
#include "recording/drain.h"
#include "recording/owner.h"
#include "tests/run.h"

#define N_BLOCKS 40 /* more than the reader copies at first */

static struct recording r;
static struct recording_ring ring;
static struct attach a;
static struct drain d;
static struct drain_ring reader;
static struct drain_batch batch;
static uint64_t table;

/* Writes the changed memory to the same file again. */
static void save_again(void)
{
	int fd = open(r.path, O_WRONLY);

	ck_assert_int_eq(pwrite(fd, r.base, RECORDING_BYTES, 0), RECORDING_BYTES);
	close(fd);
}

/* Makes this process the owner of the recording, so that the reader finds it alive. */
static void begin(void)
{
	struct stat st;
	int fd;

	memset(r.header->boot_id, 0, sizeof(r.header->boot_id));
	r.header->pid = (uint32_t)getpid();
	r.header->process_start = owner_process_start(r.header->pid);
	r.header->pid_namespace = owner_namespace();
	ck_assert_int_eq(stat(recording_save(&r), &st), 0);
	r.header->file_device = st.st_dev;
	r.header->file_inode = st.st_ino;
	save_again();
	fd = open(r.path, O_RDWR);
	ck_assert(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	close(fd);
	ck_assert_int_eq(attach_open(&a, r.path), 0);
	ck_assert_msg(a.live, "copied %d state %d", a.copied, a.owner.state);
	ck_assert_int_eq(drain_init(&d, &a), 0);
	ck_assert_int_eq(drain_ring_init(&reader, &d), 0);
}

static void put_blocks(struct recording_ring *to, int n)
{
	for (int i = 0; i < n * RECORDING_BLOCK_RECORDS; i++)
		recording_put(&r, to, i & 1 ? PYPROF_RETURN : PYPROF_CALL, 1, (uint64_t)i);
}

/*
 * Folds the first blocks as the target does when it needs room. They are then no longer in the
 * ring.
 */
static void fold_to(uint64_t sequence)
{
	while (ring.shared->folded < sequence) {
		struct pyprof_block *b = (void *)(r.base + ring.shared->first_block);

		ring.shared->folded++;
		ring.shared->first_block = b->next;
		memset(b, 0, RECORDING_BLOCK_BYTES);
	}
}

static void setup(void)
{
	recording_init(&r);
	ring = recording_ring(&r);
	put_blocks(&ring, N_BLOCKS);
	begin();
}

static void teardown(void)
{
	drain_ring_fini(&reader);
	drain_fini(&d);
	attach_close(&a);
	recording_fini(&r);
}

static void start(void)
{
	ck_assert_int_eq(drain_ring_start(&reader, 0, &table), 0);
}

static void again(void)
{
	ck_assert_int_eq(drain_ring_restart(&reader, &table), 0);
}

static void read_to(uint64_t from, uint64_t to)
{
	for (; from <= to; from++) {
		ck_assert_int_eq(drain_next(&reader, &batch), DRAIN_BATCH);
		ck_assert_uint_eq(batch.sequence, from);
		ck_assert_uint_eq(batch.n, RECORDING_BLOCK_RECORDS);
	}
}

static void check_end(void)
{
	ck_assert_int_eq(drain_next(&reader, &batch), DRAIN_END);
	ck_assert_uint_eq(reader.n_bad, 0);
}

START_TEST(reading_ends_with_the_last_block_at_the_start)
{
	start();
	read_to(1, 5);
	put_blocks(&ring, 10);
	save_again();
	read_to(6, N_BLOCKS);
	check_end();
}
END_TEST

START_TEST(blocks_folded_during_a_read_are_reported_as_overtaken)
{
	start();
	read_to(1, 3);
	fold_to(20);
	save_again();
	ck_assert_int_eq(drain_next(&reader, &batch), DRAIN_OVERTAKEN);
	again();
	ck_assert_uint_eq(reader.folded_at_start, 20);
	read_to(21, N_BLOCKS);
	check_end();
}
END_TEST

/* The first read of a folding ring copies some blocks, and each repeated read copies more. */
START_TEST(copied_blocks_stay_readable_after_a_fold)
{
	fold_to(2);
	save_again();
	start();
	fold_to(20);
	save_again();
	ck_assert_uint_gt(drain_ring_saved(&reader), 2);
	read_to(3, drain_ring_saved(&reader));
	ck_assert_int_eq(drain_next(&reader, &batch), DRAIN_OVERTAKEN);
	again();
	fold_to(N_BLOCKS - 1);
	save_again();
	read_to(21, N_BLOCKS);
	check_end();
}
END_TEST

/* The reader was stopped meanwhile. All blocks it wanted are folded, and later ones may be read. */
START_TEST(a_ring_that_was_folded_completely_continues_after_it)
{
	start();
	put_blocks(&ring, 3);
	fold_to(N_BLOCKS + 2);
	save_again();
	ck_assert_int_eq(drain_next(&reader, &batch), DRAIN_OVERTAKEN);
	again();
	ck_assert_uint_eq(reader.folded_at_start, N_BLOCKS + 2);
	ck_assert(drain_ring_skip(&reader, N_BLOCKS + 2));
	read_to(N_BLOCKS + 3, N_BLOCKS + 3);
	check_end();
}
END_TEST

/* The table was read later than the ring and covers some of the copied blocks. */
START_TEST(a_later_table_skips_copied_blocks)
{
	fold_to(2);
	save_again();
	start();
	ck_assert(drain_ring_skip(&reader, 5));
	read_to(6, N_BLOCKS);
	check_end();
}
END_TEST

START_TEST(a_table_later_than_all_copies_is_not_accepted)
{
	fold_to(2);
	save_again();
	start();
	ck_assert(!drain_ring_skip(&reader, drain_ring_saved(&reader) + 1));
}
END_TEST

static void end_process(void)
{
	r.header->process_start++; /* the PID now belongs to another process */
	drain_ring_fini(&reader);
	drain_fini(&d);
	attach_close(&a);
	save_again();
	ck_assert_int_eq(attach_open(&a, r.path), 0);
	ck_assert(!a.live);
	ck_assert_int_eq(drain_init(&d, &a), 0);
	ck_assert_int_eq(drain_ring_init(&reader, &d), 0);
}

static uint64_t read_all(size_t i)
{
	uint64_t n = 0;

	ck_assert_int_eq(drain_ring_start(&reader, i, &table), 0);
	while (drain_next(&reader, &batch) == DRAIN_BATCH)
		n++;
	return n;
}

/* Otherwise a small file with many rings and blocks would take hours to read. */
START_TEST(a_block_is_read_for_one_ring_only)
{
	uint64_t n = 0;
	const uint64_t most = RECORDING_BYTES / RECORDING_BLOCK_BYTES;

	for (int i = 0; i < 30; i++)
		recording_ring(&r).shared->first_block = ring.shared->first_block;
	end_process();
	ck_assert_uint_eq(d.n_rings, 31);
	for (size_t i = 0; i < d.n_rings; i++)
		n += read_all(i);
	ck_assert_uint_ge(n, N_BLOCKS);
	ck_assert_uint_le(n, most);
	ck_assert_uint_gt(reader.n_bad, 0);
	drain_rewind(&d);
	ck_assert_uint_eq(read_all(0), N_BLOCKS);
}
END_TEST

START_TEST(a_table_is_read_for_one_ring_only)
{
	end_process();
	read_all(0);
	ck_assert(drain_count_table(&reader, RECORDING_BYTES / 2));
	ck_assert(drain_count_table(&reader, RECORDING_BYTES / 2)); /* the same one */
	ck_assert(!drain_count_table(&reader, RECORDING_BYTES * 2));
	read_all(0);
	ck_assert(!drain_count_table(&reader, RECORDING_BYTES / 2));
}
END_TEST

/* A block that is newer than the header shows that the copy was made while the file changed. */
START_TEST(a_copy_made_during_a_change_is_marked_torn)
{
	struct pyprof_block *first = (void *)(r.base + ring.shared->first_block);

	r.header->n_blocks = 7;
	first->number = 7;
	end_process();
	read_all(0);
	ck_assert(!reader.torn);
	first->number = 8;
	save_again();
	read_all(0);
	ck_assert(reader.torn);
	first->number = 7;
	first->record[3] = 0; /* not full, although another block follows */
	save_again();
	read_all(0);
	ck_assert(reader.torn);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("drain");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reading_ends_with_the_last_block_at_the_start);
	tcase_add_test(tc, blocks_folded_during_a_read_are_reported_as_overtaken);
	tcase_add_test(tc, copied_blocks_stay_readable_after_a_fold);
	tcase_add_test(tc, a_ring_that_was_folded_completely_continues_after_it);
	tcase_add_test(tc, a_later_table_skips_copied_blocks);
	tcase_add_test(tc, a_table_later_than_all_copies_is_not_accepted);
	tcase_add_test(tc, a_block_is_read_for_one_ring_only);
	tcase_add_test(tc, a_table_is_read_for_one_ring_only);
	tcase_add_test(tc, a_copy_made_during_a_change_is_marked_torn);
	return run_case("drain", tc);
}
