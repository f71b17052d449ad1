using System.Net;
using System.Text.Json;

namespace Millrace.Tests.WebConsole;

public sealed class RoutesTests
{
    [Fact]
    public async Task Jobs_are_listed_with_counters_and_found_with_file_and_plan()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var pipeline = console.Services.Jobs.Start();
        pipeline.Status = pipeline.Reading(200);

        var job = (await console.GetJsonAsync("/api/jobs")).GetProperty("jobs")[0];
        Assert.Equal("running", job.GetProperty("state").GetString());
        Assert.Equal(200, job.GetProperty("sources")[0].GetProperty("in").GetInt64());
        Assert.Equal(2, job.GetProperty("sources")[0].GetProperty("quarantined").GetInt64());
        Assert.Equal(40, job.GetProperty("latency").GetProperty("p99").GetDouble());

        var detail = await console.GetJsonAsync("/api/jobs/orders_by_country");
        Assert.StartsWith("pipeline:", detail.GetProperty("file").GetString());
        Assert.Equal(7, detail.GetProperty("plan").GetProperty("nodes").GetArrayLength());
        Assert.Equal(6, (await console.GetJsonAsync("/api/jobs/orders_by_country/plan")).GetProperty("edges").GetArrayLength());
    }

    [Fact]
    public async Task A_pipeline_file_is_submitted_and_tried_dry()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var (dry, _) = await console.SendAsync("POST", "/api/jobs?dryRun=true", "pipeline: one\n", "application/yaml");
        Assert.Equal(200, dry);
        Assert.Empty(console.Services.Jobs.List());

        var (status, reply) = await console.SendAsync("POST", "/api/jobs", "pipeline: one\n", "application/yaml");
        Assert.Equal(201, status);
        Assert.Equal("one", reply.GetProperty("name").GetString());

        var (again, problem) = await console.SendAsync("POST", "/api/jobs", "pipeline: one\n", "application/yaml");
        Assert.Equal(409, again);
        Assert.Contains("job stop one", problem.GetProperty("hint").GetString());
    }

    [Fact]
    public async Task A_faulty_pipeline_file_is_refused_with_its_diagnostics()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var (status, problem) = await console.SendAsync("POST", "/api/jobs", "pipelin: one\n", "application/yaml");
        Assert.Equal(422, status);
        Assert.Equal("unknown field 'pipelin'", problem.GetProperty("diagnostics")[0].GetProperty("message").GetString());

        var (lint, found) = await console.SendAsync("POST", "/api/lint", "pipelin: one\n", "text/yaml");
        Assert.Equal(200, lint);
        Assert.False(found.GetProperty("ok").GetBoolean());
    }

    [Fact]
    public async Task Jobs_are_stopped_restarted_and_removed()
    {
        await using var console = await ConsoleFixture.StartAsync();
        console.Services.Jobs.Start("one");
        Assert.Equal(204, (await console.SendAsync("POST", "/api/jobs/one/stop", "")).Status);
        Assert.Equal(204, (await console.SendAsync("POST", "/api/jobs/one/restart", "")).Status);
        Assert.Equal(204, (await console.SendAsync("DELETE", "/api/jobs/one")).Status);
        Assert.Equal(["stop one", "restart one", "remove one"], console.Services.Jobs.Calls);
        var (status, problem) = await console.SendAsync("DELETE", "/api/jobs/one");
        Assert.Equal(404, status);
        Assert.Equal("No such job", problem.GetProperty("title").GetString());
    }

    [Fact]
    public async Task Quarantined_rows_come_with_their_reasons()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var pipeline = console.Services.Jobs.Start();
        pipeline.Status = pipeline.Reading(300);
        pipeline.Quarantined.Add(new(
            "orders", "orders", 0, 17, DateTimeOffset.UnixEpoch, ["not_null(order_id): order_id is null"], [.. "{\"a\":"u8, 0xFF]));
        var page = await console.GetJsonAsync("/api/jobs/orders_by_country/quarantine?limit=5");
        Assert.Equal(3, page.GetProperty("total").GetInt64());
        Assert.Equal("{\"a\":\uFFFD", page.GetProperty("rows")[0].GetProperty("value").GetString());
        Assert.Equal(3, page.GetProperty("reasons")[0].GetProperty("count").GetInt64());

        var (status, problem) = await console.SendAsync("GET", "/api/jobs/orders_by_country/quarantine?limit=0");
        Assert.Equal(400, status);
        Assert.Contains("from 1 to 1000", problem.GetProperty("detail").GetString());
    }

    [Fact]
    public async Task An_outputs_live_rows_name_their_window_keys_and_measures()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var pipeline = console.Services.Jobs.Start();
        pipeline.Rows = _ => Fakes.FakePipeline.Batch([("DE", 0, 1050, 3), ("FR", 60_000_000, 250, 2), ("AT", 60_000_000, 900, 1)]);
        var live = await console.GetJsonAsync("/api/jobs/orders_by_country/outputs/by_country?keys=1");
        Assert.Equal(["key", "window", "measure", "measure"], live.GetProperty("roles").EnumerateArray().Select(r => r.GetString()));
        Assert.Equal(3, live.GetProperty("total").GetInt32());
        // Newest window first, in it the largest revenue.
        Assert.Equal("""[["AT","1970-01-01T00:01:00Z",9.00,1],["DE","1970-01-01T00:00:00Z",10.50,3]]""", live.GetProperty("rows").GetRawText());

        pipeline.Rows = _ => null;
        Assert.Equal(404, (await console.SendAsync("GET", "/api/jobs/orders_by_country/outputs/none")).Status);
    }

    [Fact]
    public async Task Topics_are_listed_created_read_and_deleted()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var (status, topic) = await console.SendAsync("POST", "/api/topics", """{"name":"clicks","partitions":3}""");
        Assert.Equal(201, status);
        Assert.Equal(3, topic.GetProperty("partitions").GetArrayLength());
        Assert.Equal(409, (await console.SendAsync("POST", "/api/topics", """{"name":"clicks"}""")).Status);
        Assert.Equal(2, (await console.GetJsonAsync("/api/topics")).GetProperty("topics").GetArrayLength());
        Assert.Equal(204, (await console.SendAsync("DELETE", "/api/topics/clicks")).Status);
        Assert.Equal(404, (await console.SendAsync("GET", "/api/topics/clicks")).Status);

        var records = (await console.GetJsonAsync("/api/topics/orders/records?partition=0&offset=-2&limit=2")).GetProperty("records");
        Assert.Equal("text", records[0].GetProperty("encoding").GetString());
        Assert.Equal("base64", records[1].GetProperty("encoding").GetString());
        Assert.Equal("v", records[1].GetProperty("headers").GetProperty("h").GetString());
        Assert.Equal(404, (await console.SendAsync("GET", "/api/topics/orders/records?partition=9")).Status);
        Assert.Equal(3, (await console.GetJsonAsync("/api/groups")).GetProperty("groups")[0].GetProperty("lag").GetInt64());
    }

    [Fact]
    public async Task Tables_are_listed_and_found_and_ids_stay_whole()
    {
        await using var console = await ConsoleFixture.StartAsync();
        Assert.Equal("9007199254740993", (await console.GetJsonAsync("/api/tables")).GetProperty("tables")[0].GetProperty("snapshotId").GetString());
        Assert.Equal(1, (await console.GetJsonAsync("/api/tables/sales/by_country")).GetProperty("snapshotLog").GetArrayLength());
        Assert.Equal(404, (await console.SendAsync("GET", "/api/tables/sales/none")).Status);
    }

    [Fact]
    public async Task Sql_gives_columns_and_rows_and_is_cut_at_the_asked_rows()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var (status, reply) = await console.SendAsync("POST", "/api/sql", """{"sql":"select * from t","maxRows":1}""");
        Assert.Equal(200, status);
        Assert.Equal("DECIMAL(18,2)", reply.GetProperty("columns")[2].GetProperty("type").GetString());
        Assert.Equal("""[["DE","1970-01-01T00:00:00Z",10.50,3]]""", reply.GetProperty("rows").GetRawText());
        Assert.True(reply.GetProperty("truncated").GetBoolean());
        Assert.Equal(400, (await console.SendAsync("POST", "/api/sql", """{"sql":" "}""")).Status);
        Assert.Equal(400, (await console.SendAsync("POST", "/api/sql", """{"sql":"select 1","maxRows":0}""")).Status);
        Assert.Equal(400, (await console.SendAsync("POST", "/api/sql", "{")).Status);
        Assert.Equal(400, (await console.SendAsync("POST", "/api/sql", "{}")).Status);
    }

    [Fact]
    public async Task A_wrong_statement_tells_its_place_and_a_hint()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var (status, problem) = await console.SendAsync("POST", "/api/sql", JsonSerializer.Serialize(new { sql = "-- first\n  selec 1" }));
        Assert.Equal(400, status);
        Assert.Equal("42601", problem.GetProperty("sqlState").GetString());
        Assert.Equal(2, problem.GetProperty("line").GetInt32());
        Assert.Equal(3, problem.GetProperty("column").GetInt32());
        console.Services.Sql.Answer = (_, _) => new Millrace.WebConsole.Seams.SqlAnswer.Fault("42703", "no", 12, null);
        // Places count characters, not UTF-16 units: the flag before the twelfth is one.
        (_, var second) = await console.SendAsync("POST", "/api/sql", JsonSerializer.Serialize(new { sql = "select '\U0001F600', x" }));
        Assert.Equal(12, second.GetProperty("column").GetInt32());
        Assert.Equal("did you mean SELECT?", problem.GetProperty("hint").GetString());
    }

    [Fact]
    public async Task Health_readiness_and_status_answer()
    {
        await using var console = await ConsoleFixture.StartAsync();
        Assert.Equal("ok", (await console.GetJsonAsync("/healthz")).GetProperty("status").GetString());
        Assert.Equal("ready", (await console.GetJsonAsync("/readyz")).GetProperty("status").GetString());
        console.Services.Readiness = new(false, "the log recovers");
        var (status, body) = await console.SendAsync("GET", "/readyz");
        Assert.Equal(503, status);
        Assert.Equal("the log recovers", body.GetProperty("reason").GetString());
        var overview = await console.GetJsonAsync("/api/status");
        Assert.Equal(1, overview.GetProperty("topics").GetInt32());
        Assert.Equal("0.1.0", overview.GetProperty("process").GetProperty("version").GetString());
    }

    [Fact]
    public async Task Sessions_are_put_read_and_deleted()
    {
        await using var console = await ConsoleFixture.StartAsync();
        Assert.Equal(404, (await console.SendAsync("GET", "/api/sessions/user-1")).Status);
        var (status, written) = await console.SendAsync("PUT", "/api/sessions/user-1?write=3", """{"value":"cart","ttlSeconds":60}""");
        Assert.Equal((200, 3), (status, written.GetProperty("copies").GetInt32()));
        Assert.Equal("cart for 60 s", (await console.GetJsonAsync("/api/sessions/user-1?read=1")).GetProperty("value").GetString());
        Assert.Equal(1, (await console.GetJsonAsync("/api/sessions")).GetProperty("puts").GetInt64());
        Assert.Equal(400, (await console.SendAsync("PUT", "/api/sessions/user-1?write=4", """{"value":"cart"}""")).Status);
        Assert.Equal(400, (await console.SendAsync("PUT", "/api/sessions/user-1", """{"value":"cart","ttlSeconds":0}""")).Status);
        Assert.Equal(200, (await console.SendAsync("DELETE", "/api/sessions/user-1")).Status);
        Assert.Equal(404, (await console.SendAsync("GET", "/api/sessions/user-1")).Status);
    }

    [Fact]
    public async Task What_is_not_there_is_a_problem_with_a_hint()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var (status, problem) = await console.SendAsync("GET", "/api/nothing");
        Assert.Equal(404, status);
        Assert.Contains("/api", problem.GetProperty("hint").GetString());
        Assert.Equal(405, (await console.SendAsync("DELETE", "/api/status")).Status);
    }

    [Fact]
    public async Task An_internal_error_is_a_problem_and_the_server_goes_on()
    {
        await using var console = await ConsoleFixture.StartAsync();
        console.Services.Sql.Answer = (_, _) => throw new InvalidOperationException("boom");
        var (status, problem) = await console.SendAsync("POST", "/api/sql", """{"sql":"select 1"}""");
        Assert.Equal(500, status);
        Assert.Contains("boom", problem.GetProperty("detail").GetString());
        using var health = await console.Client.GetAsync("/healthz");
        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
    }
}
