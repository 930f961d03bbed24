/* test_cost.c - what is spent: the ledger beside the vectors, budgets, estimates, alerts, and texts that are not to be sent. The
 * provider is the fake one, which has a price; clocks are fake where something waits. */
#include "index_support.h"

#include "store/sql.h"

#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PRICED "fake:a?price=1000000&max_texts=4" /* a micro-dollar for a token */

static char *folder, *sources, *database_path;

static int set_up(void **state)
{
    (void)state;
    folder = make_folder();
    sources = join(folder, "docs");
    database_path = join(folder, "x.db");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    free(sources);
    free(database_path);
    return 0;
}

static void write_documents(int count)
{
    for (int i = 0; i < count; i++) {
        char name[32], text[4096];
        size_t length = 0;
        snprintf(name, sizeof name, "d%02d.txt", i);
        for (int word = 0; word < 20 + 3 * i; word++)
            length += (size_t)snprintf(text + length, sizeof text - length, "w%d-%d ", i, word);
        write_file(sources, name, text);
    }
}

static void take_log(sx_log_level level, const char *message, void *user)
{
    if (level == SX_LOG_WARNING)
        snprintf(user, 400, "%s", message);
}

static sx_database *open_database(char *log)
{
    sx_error error;
    sx_database *database;
    sx_database_options options = {.size = sizeof options, .log = log ? take_log : NULL, .log_user = log};
    assert_ok(sx_database_open(database_path, &options, &database, &error));
    return database;
}

static sx_embedder *open_with(const char *model, sx_database *cache, const sx_remote_options *remote)
{
    sx_error error;
    sx_embedder *embedder;
    sx_embedder_options options = {.size = sizeof options, .model = model, .cache = cache};
    if (remote) {
        options.remote = *remote;
        options.remote.size = sizeof options.remote;
    }
    assert_ok(sx_embedder_open(&options, &embedder, &error));
    return embedder;
}

static sx_status index_with(sx_database *database, sx_embedder *embedder, bool dry_run, bool allow_secrets,
                            sx_index_report **report, sx_error *error)
{
    const char *paths[] = {sources};
    sx_index_options options = {.size = sizeof options, .paths = paths, .path_count = 1, .dry_run = dry_run,
                                .allow_secrets = allow_secrets};
    return sx_index(database, embedder, &options, report, error);
}

static double number(sx_database *database, const char *sql)
{
    sqlite3_stmt *statement;
    double value = -1;
    assert_int_equal(sqlite3_prepare_v2(database->sqlite, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_double(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void assert_near(double a, double b)
{
    if (fabs(a - b) > 1e-9)
        fail_msg("%.12g is not %.12g", a, b);
}

static void test_ledger_of_an_index(void **state)
{
    (void)state;
    sx_error error;
    sx_index_report *report;
    write_documents(20);
    write_file(sources, "same.txt", "w0-0 "); /* and a document that stands twice */
    write_file(sources, "same-too.txt", "w0-0 ");
    sx_database *database = open_database(NULL);
    sx_embedder *embedder = open_with(PRICED, database, NULL);
    assert_ok(index_with(database, embedder, true, false, &report, &error));
    sx_spend estimate = report->cost;
    assert_int_equal(estimate.texts, 21);
    assert_int_equal(estimate.cached, 1);
    assert_int_equal(counts_of(embedder)->batches, 0);
    assert_int_equal(report->tokens, estimate.tokens);
    sx_index_report_free(report);
    assert_ok(index_with(database, embedder, false, false, &report, &error));
    assert_int_equal(report->cost.tokens, estimate.tokens);
    assert_near(report->cost.usd, estimate.usd);
    assert_int_equal(report->cost.texts, 21);
    assert_int_equal(report->cost.cached, 1);
    assert_int_equal(report->cost.requests, counts_of(embedder)->batches);
    assert_near(number(database, "SELECT sum(tokens) FROM spend"), (double)counts_of(embedder)->tokens);
    assert_near(number(database, "SELECT sum(requests) FROM spend"), (double)counts_of(embedder)->batches);
    assert_near(number(database, "SELECT sum(texts) FROM spend"), 21);
    assert_near(number(database, "SELECT sum(cached) FROM spend"), 1);
    assert_near(number(database, "SELECT sum(usd) FROM spend"), estimate.usd);
    assert_near(number(database, "SELECT count(*) FROM ledger_job WHERE verb = 'index' AND collection = 'default'"), 1);
    sx_index_report_free(report);
    /* Nothing is left to pay for. */
    assert_ok(index_with(database, embedder, true, false, &report, &error));
    assert_int_equal(report->cost.tokens, 0);
    sx_index_report_free(report);
    assert_ok(index_with(database, embedder, false, false, &report, &error));
    assert_int_equal(report->cost.tokens, 0);
    assert_near(number(database, "SELECT sum(tokens) FROM spend"), (double)estimate.tokens);
    sx_index_report_free(report);
    sx_embedder_close(embedder);
    sx_database_close(database);
}

/* Runs with every budget there is, from nothing to enough: none is passed, and all of them together pay for each text once. */
static void test_budget_of_an_index(void **state)
{
    (void)state;
    sx_error error;
    sx_index_report *report;
    write_documents(20);
    sx_database *database = open_database(NULL);
    sx_embedder *embedder = open_with(PRICED, database, NULL);
    assert_ok(index_with(database, embedder, true, false, &report, &error));
    sx_spend all = report->cost;
    sx_index_report_free(report);
    sx_embedder_close(embedder);
    double spent = 0;
    uint64_t embedded = 0;
    for (int round = 0; round < 100; round++) {
        double budget = all.usd * (0.04 + 0.02 * (round % 7));
        embedder = open_with(PRICED, database, &(sx_remote_options){.budget_usd = budget});
        sx_status status = index_with(database, embedder, false, false, &report, &error);
        assert_true(report->cost.usd <= budget + 1e-12);
        spent += report->cost.usd;
        embedded += report->cost.texts;
        assert_near(spent + report->left.usd, all.usd);
        assert_int_equal(report->left.tokens, all.tokens - (uint64_t)llround(spent * 1e6));
        if (status) {
            assert_int_equal(status, SX_E_LIMIT);
            assert_non_null(strstr(error.message, "is spent"));
            assert_non_null(strstr(error.message, "chunks"));
            assert_true(report->left.texts > 0 && report->documents.removed == 0);
            assert_true(report->chunks.failed == 0 && report->failed_count == 0);
        }
        assert_near(number(database, "SELECT sum(usd) FROM spend"), spent);
        assert_near(number(database, "SELECT count(*) FROM vector WHERE computed <> 1"), 0);
        sx_index_report_free(report);
        sx_embedder_close(embedder);
        if (!status)
            break;
    }
    assert_near(spent, all.usd);
    assert_int_equal(embedded, all.texts);
    assert_near(number(database, "SELECT count(*) FROM document WHERE state = 1"), 20);
    sx_database_close(database);
}

static void test_budget_of_texts(void **state)
{
    (void)state;
    sx_error error;
    sx_text texts[20];
    float vectors[20 * 8];
    sx_receipt receipts[20];
    char words[20][32];
    for (int i = 0; i < 20; i++) {
        snprintf(words[i], sizeof words[i], "text number %d", i); /* five tokens */
        texts[i] = (sx_text){words[i], strlen(words[i])};
    }
    sx_database *database = open_database(NULL);
    sx_embedder *embedder = open_with(PRICED, database, &(sx_remote_options){.budget_usd = 33e-6});
    sx_spend sum = {0}, spent;
    assert_ok(sx_embedder_estimate(embedder, texts, 20, &sum, &error));
    assert_int_equal(sum.tokens, 100);
    assert_near(sum.usd, 100e-6);
    assert_int_equal(sx_embedder_embed(embedder, texts, 20, vectors, receipts, NULL, &error), SX_E_LIMIT);
    assert_non_null(strstr(error.message, "$0.000030 is spent"));
    assert_ok(sx_embedder_spent(embedder, &spent, &error));
    assert_int_equal(spent.tokens, 30);
    assert_int_equal(spent.texts, 6);
    for (int i = 0; i < 20; i++)
        assert_int_equal(receipts[i].status, i < 6 ? SX_OK : SX_E_LIMIT);
    /* What is there already costs nothing, budget or not. */
    assert_ok(sx_embedder_embed(embedder, texts, 6, vectors, receipts, NULL, &error));
    assert_int_equal(sx_embedder_embed(embedder, texts, 20, vectors, receipts, NULL, &error), SX_E_LIMIT);
    assert_ok(sx_embedder_spent(embedder, &spent, &error));
    assert_int_equal(spent.tokens, 30);
    sx_embedder_close(embedder);
    embedder = open_with(PRICED, database, NULL);
    sum = (sx_spend){0};
    assert_ok(sx_embedder_estimate(embedder, texts, 20, &sum, &error));
    assert_int_equal(sum.tokens, 70);
    assert_int_equal(sum.cached, 6);
    assert_ok(sx_embedder_embed(embedder, texts, 20, vectors, receipts, NULL, &error));
    sx_embedder_close(embedder);
    assert_near(number(database, "SELECT sum(tokens) FROM spend"), 100);
    assert_near(number(database, "SELECT sum(cached) FROM spend"), 18);
    sx_database_close(database);
}

static void test_unpriced(void **state)
{
    (void)state;
    sx_error error;
    sx_index_report *report;
    sx_embedder *embedder;
    write_documents(3);
    sx_embedder_options options = {.size = sizeof options, .model = "fake:a?unpriced=1"};
    options.remote = (sx_remote_options){.size = sizeof options.remote, .budget_usd = 1};
    assert_int_equal(sx_embedder_open(&options, &embedder, &error), SX_E_INVALID);
    assert_non_null(strstr(error.message, "price is not known"));
    options.remote.budget_usd = -1;
    assert_int_equal(sx_embedder_open(&options, &embedder, &error), SX_E_INVALID);
    sx_database *database = open_database(NULL);
    embedder = open_with("fake:a?unpriced=1", database, NULL);
    assert_ok(index_with(database, embedder, false, false, &report, &error));
    assert_true(report->cost.tokens > 0 && report->cost.unpriced_tokens == report->cost.tokens && report->cost.usd == 0);
    assert_near(number(database, "SELECT count(*) FROM spend WHERE usd IS NOT NULL"), 0);
    sx_index_report_free(report);
    sx_embedder_close(embedder);
    sx_database_close(database);
}

/* Failed requests count as requests, halves and repetitions too; tokens only what was answered. On a fake clock. */
static void test_failed_requests(void **state)
{
    (void)state;
    sx_error error;
    fake_clock clock = {.now = (int64_t)1795000000 * 1000000000};
    sx_database *database = open_database(NULL);
    sx_embedder *embedder = open_embedder("fake:a?price=1000000&retry=1&retry_count=2&poison=bad", database, &clock);
    sx_text texts[] = {{"good one", 8}, {"bad one", 7}, {"good two", 8}};
    float vectors[3 * 8];
    sx_receipt receipts[3];
    assert_ok(sx_embedder_embed(embedder, texts, 3, vectors, receipts, NULL, &error));
    assert_int_equal(receipts[1].status, SX_E_PROVIDER);
    assert_true(clock.slept > 0);
    uint64_t batches = counts_of(embedder)->batches;
    sx_embedder_close(embedder);
    assert_near(number(database, "SELECT sum(requests) FROM spend"), (double)batches);
    assert_near(number(database, "SELECT sum(tokens) FROM spend"), 8);
    assert_near(number(database, "SELECT sum(usd) FROM spend"), 8e-6);
    assert_near(number(database, "SELECT min(day) FROM spend"), 1795000000 / 86400);
    sx_database_close(database);
}

static void test_search_is_entered(void **state)
{
    (void)state;
    sx_error error;
    sx_index_report *report;
    sx_hits *hits;
    write_documents(3);
    sx_database *database = open_database(NULL);
    sx_embedder *embedder = open_with(PRICED, database, NULL);
    assert_ok(index_with(database, embedder, false, false, &report, &error));
    sx_index_report_free(report);
    for (int i = 0; i < 3; i++) {
        assert_ok(sx_search(database, embedder, (sx_text){"some words", 10}, NULL, &hits, &error));
        sx_hits_free(hits);
    }
    sx_embedder_close(embedder);
    assert_near(number(database, "SELECT count(*) FROM ledger_job WHERE verb = 'search' AND collection = 'default'"), 1);
    assert_near(number(database, "SELECT tokens FROM spend WHERE job = (SELECT id FROM ledger_job WHERE verb = 'search')"), 12);
    sx_database_close(database);
}

/* ---- Secrets ---- */

static void make_key(char *key, const char *prefix)
{
    snprintf(key, 64, "%s%s", prefix, "q7Wm2xKp9Zt4Rb6Yc1Vn8Jd3Hf5Lg0SaQe2T");
}

static void test_secrets_stay_here(void **state)
{
    (void)state;
    sx_error error;
    sx_index_report *report;
    char key[64], text[8192] = "";
    make_key(key, "gh" "p_");
    for (int i = 0; i < 300; i++)
        strcat(text, i == 150 ? "" : "plain words here\n");
    size_t length = strlen(text);
    snprintf(text + length / 2, sizeof text - length / 2, "\ntoken = %s\n", key);
    size_t middle = strlen(text);
    for (int i = 0; i < 100; i++)
        middle += (size_t)snprintf(text + middle, sizeof text - middle, "more words %d\n", i);
    write_file(sources, "notes.txt", text);
    write_file(sources, "clean.txt", "nothing to hide");
    write_file(sources, ".env", "A=b\n");
    sx_database *database = open_database(NULL);
    sx_embedder *embedder = open_with("fake:a?remote=1", database, NULL);
    assert_ok(index_with(database, embedder, false, false, &report, &error));
    assert_true(report->chunks.failed >= 1 && report->chunks.embedded > 2);
    assert_int_equal(report->failed_count, report->chunks.failed);
    assert_string_equal(report->failed[0].document, "notes.txt");
    assert_non_null(strstr(report->failed[0].reason, "held back: GitHub token in line "));
    assert_non_null(strstr(report->failed[0].reason, "not sent to fake"));
    for (size_t i = 0; i < report->failed_count; i++)
        assert_null(strstr(report->failed[i].reason, key));
    assert_int_equal(report->skipped_count, 1);
    assert_string_equal(report->skipped[0].document, ".env");
    assert_int_equal(counts_of(embedder)->texts, report->chunks.embedded);
    sx_index_report_free(report);
    /* It is said each time, and only then. */
    uint64_t before = counts_of(embedder)->texts;
    assert_ok(index_with(database, embedder, false, false, &report, &error));
    assert_true(report->chunks.failed >= 1);
    assert_int_equal(counts_of(embedder)->texts, before);
    sx_index_report_free(report);
    assert_ok(index_with(database, embedder, false, true, &report, &error));
    assert_int_equal(report->chunks.failed, 0);
    assert_true(counts_of(embedder)->texts > before);
    sx_index_report_free(report);
    sx_embedder_close(embedder);
    sx_database_close(database);
}

static void test_secrets_in_texts(void **state)
{
    (void)state;
    sx_error error;
    char key[64], text[128];
    make_key(key, "sk-" "proj-");
    strcat(key, "abQ4z");
    snprintf(text, sizeof text, "first line\nkey=%s", key);
    sx_text texts[] = {{"plain", 5}, {text, strlen(text)}};
    float vectors[2 * 8];
    sx_receipt receipts[2];
    const struct {
        const char *model;
        int allow;
        sx_status status;
    } cases[] = {{"fake:a?remote=1", 0, SX_E_DENIED}, {"fake:a?remote=1", 1, SX_OK}, {"fake:a", 0, SX_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_embedder *embedder = open_with(cases[i].model, NULL, &(sx_remote_options){.allow_secrets = cases[i].allow});
        assert_ok(sx_embedder_embed(embedder, texts, 2, vectors, receipts, NULL, &error));
        assert_int_equal(receipts[0].status, SX_OK);
        assert_int_equal(receipts[1].status, cases[i].status);
        assert_int_equal(counts_of(embedder)->texts, cases[i].status ? 1 : 2);
        if (cases[i].status)
            assert_string_equal(receipts[1].message, "held back: OpenAI API key in line 2 (not sent to fake)");
        sx_embedder_close(embedder);
    }
}

/* ---- Crash ---- */

static void kill_self(const sx_progress *progress, void *user)
{
    if (progress->tokens > *(uint64_t *)user)
        raise(SIGKILL);
}

/* After each kill the ledger says what the vectors that are there have cost: no more, no less. */
static void test_kill(void **state)
{
    (void)state;
    sx_error error;
    sx_index_report *report;
    write_documents(30);
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (!child) {
            uint64_t tokens = 0; /* as soon as something is paid for */
            const char *paths[] = {sources};
            sx_index_options options = {.size = sizeof options, .paths = paths, .path_count = 1, .progress = kill_self,
                                        .progress_user = &tokens};
            sx_database *database = open_database(NULL);
            sx_embedder *embedder = open_with(PRICED "&slow_ms=60&in_flight=1", database, NULL);
            (void)sx_index(database, embedder, &options, &report, &error);
            _exit(0);
        }
        assert_true(child > 0);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        sx_database *database = open_database(NULL);
        double bought = number(database, "SELECT coalesce(sum(tokens * computed), 0) FROM vector");
        assert_near(number(database, "SELECT coalesce(sum(tokens), 0) FROM spend"), bought);
        assert_near(number(database, "SELECT coalesce(sum(texts), 0) FROM spend"),
                    number(database, "SELECT count(*) FROM vector"));
        sx_database_close(database);
    }
    sx_database *database = open_database(NULL);
    sx_embedder *embedder = open_with(PRICED, database, NULL);
    assert_ok(index_with(database, embedder, false, false, &report, &error));
    sx_index_report_free(report);
    sx_embedder_close(embedder);
    assert_near(number(database, "SELECT sum(texts) FROM spend"), 30);
    assert_near(number(database, "SELECT count(*) FROM vector WHERE computed <> 1"), 0);
    sx_database_close(database);
}

/* ---- Alert ---- */

typedef struct address {
    int listener;
    char url[64], request[4096];
    const char *answer;
    unsigned calls;
} address;

static void *serve(void *user)
{
    address *at = user;
    int client;
    while ((client = accept(at->listener, NULL, NULL)) >= 0) {
        size_t length = 0;
        ssize_t got;
        at->request[0] = '\0';
        while (!strstr(at->request, "\"model\"") && length < sizeof at->request - 1 &&
               (got = read(client, at->request + length, sizeof at->request - 1 - length)) > 0) {
            length += (size_t)got;
            at->request[length] = '\0';
        }
        at->calls++;
        assert_true(write(client, at->answer, strlen(at->answer)) > 0);
        close(client);
    }
    return NULL;
}

static pthread_t listen_at(address *at)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    pthread_t thread;
    at->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(at->listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(at->listener, 8), 0);
    assert_int_equal(getsockname(at->listener, (struct sockaddr *)&name, &length), 0);
    snprintf(at->url, sizeof at->url, "http://127.0.0.1:%d/hook-key", ntohs(name.sin_port));
    assert_int_equal(pthread_create(&thread, NULL, serve, at), 0);
    return thread;
}

static void embed_one(const char *text, double alert, const char *url, char *log)
{
    sx_error error;
    float vector[8];
    sx_receipt receipt;
    log[0] = '\0';
    sx_database *database = open_database(log);
    sx_embedder *embedder = open_with(PRICED, database, &(sx_remote_options){.alert_usd = alert, .alert_url = url});
    assert_ok(sx_embedder_embed(embedder, &(sx_text){text, strlen(text)}, 1, &vector[0], &receipt, NULL, &error));
    sx_embedder_close(embedder);
    sx_database_close(database);
}

static void test_alert(void **state)
{
    (void)state;
    char log[400];
    address at = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"};
    pthread_t thread = listen_at(&at);
    setenv("no_proxy", "127.0.0.1", 1);
    embed_one("one", 5e-6, at.url, log); /* three tokens */
    assert_string_equal(log, "");
    embed_one("two", 5e-6, at.url, log);
    assert_non_null(strstr(log, "above the alert"));
    assert_int_equal(at.calls, 1);
    assert_non_null(strstr(at.request, "POST /hook-key"));
    assert_non_null(strstr(at.request, "\"event\":\"cost_alert\""));
    assert_non_null(strstr(at.request, "\"spent_usd\":6"));
    assert_null(strstr(at.request, folder));
    embed_one("three", 5e-6, at.url, log); /* the warning comes again, the call does not */
    assert_non_null(strstr(log, "above the alert"));
    assert_int_equal(at.calls, 1);
    embed_one("three", 5e-6, at.url, log); /* nothing is spent */
    assert_string_equal(log, "");
    at.answer = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    embed_one("four", 6e-6, at.url, log); /* another threshold, an address that fails */
    assert_non_null(strstr(log, "HTTP 500"));
    assert_null(strstr(log, "hook-key"));
    assert_int_equal(at.calls, 2);
    shutdown(at.listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(at.listener);
    embed_one("five", 7e-6, at.url, log); /* nobody there */
    assert_non_null(strstr(log, "did not take it"));
    assert_null(strstr(log, "hook-key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ledger_of_an_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_budget_of_an_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_budget_of_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unpriced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_search_is_entered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets_stay_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets_in_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_alert, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
