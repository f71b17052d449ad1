using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Millrace.Bench.Running;

namespace Millrace.Interop.EndToEnd;

/// <summary>A data folder in which something is broken, and a machine that is not as it should be: what the commands say.</summary>
public sealed class DamagedFilesTests(DamagedFilesTests.GoodData good) : IClassFixture<DamagedFilesTests.GoodData>, IAsyncLifetime
{
    private const string Pipeline = """
        pipeline: things
        sources:
          things: {from: "kafka:things?time=ts&watermark=1s", schema: {id: bigint, kind: varchar, ts: timestamptz}}
        checks:
          things:
            - not_null(id, kind)
        sql:
          by_kind: SELECT kind, window_start, count(*) AS n FROM tumble(things, 10s) GROUP BY kind, window_start
        sinks:
          things: iceberg:test.things?commit=1s
        """;

    private readonly string _folder = good.Folder;
    private readonly PlatformProcess _platform = good.Restore();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _platform.DisposeAsync();

    [Fact]
    public async Task A_damaged_job_file_is_told_and_not_forgotten()
    {
        Damage("jobs/things/job", 200);
        await _platform.StartAsync(CancellationToken.None);
        var job = (await _platform.DoAsync("job", "list", "--json")).Json["jobs"]![0]!;
        Assert.Equal("failed", job["state"]!.GetValue<string>());
        Assert.Contains(PathOf("jobs/things/job") + " at byte", job.Reason());
        Assert.Contains("submit the pipeline file again", job.Reason());
        var restart = await _platform.CommandAsync(["job", "restart", "things"]);
        Assert.Equal(2, restart.Code);
        Assert.Contains("its checksum does not match", restart.Errors);
        await _platform.DoAsync("run", Path.Combine(_folder, "things.yaml"));
        Assert.Equal(500, (await _platform.UntilJobAsync("things", j => j["state"]!.GetValue<string>() == "running", "it runs again")).In());
    }

    [Fact]
    public async Task A_damaged_checkpoint_stops_its_job_alone_with_file_and_next_step()
    {
        var log = Directory.GetFiles(PathOf("state/things/state"), "*.log").Where(f => new FileInfo(f).Length > 200).Max()!;
        Damage(Path.GetRelativePath(PathOf(""), log), 100);
        await _platform.StartAsync(CancellationToken.None);
        var shown = (await _platform.DoAsync("job", "show", "things", "--json")).Json["job"]!;
        Assert.Equal("failed", shown["state"]!.GetValue<string>());
        Assert.True(shown.Reason()!.Contains(log, StringComparison.Ordinal), shown.Reason());
        Assert.Contains("restore the folder from a copy", shown.Reason());
        Assert.Equal(500, (await _platform.SqlAsync("SELECT count(*) FROM test.things", CancellationToken.None))[0]![0]!.GetValue<long>());
    }

    [Fact]
    public async Task Damaged_table_metadata_is_told_with_file_and_place_and_the_way_back()
    {
        var newest = Directory.GetFiles(PathOf("warehouse/test/things/metadata"), "v*.metadata.json")
            .MaxBy(f => int.Parse(Path.GetFileName(f)[1..^14], CultureInfo.InvariantCulture))!;
        Damage(Path.GetRelativePath(PathOf(""), newest), 200);
        await _platform.StartAsync(CancellationToken.None);
        foreach (var command in new[] { new[] { "sql", "SELECT count(*) FROM test.things" }, ["table", "show", "test.things"] })
        {
            var answer = await _platform.CommandAsync(command);
            Assert.NotEqual(0, answer.Code);
            Assert.True(answer.Errors.Contains(newest + ": ", StringComparison.Ordinal), answer.Errors);
            Assert.Contains("move the damaged file away and the table continues from there", answer.Errors);
        }
        Assert.Contains(newest, (await _platform.DoAsync("table", "list")).Errors);
        var job = await _platform.UntilJobAsync("things", j => j.Reason() is not null, "the job says what it waits for");
        Assert.Contains("iceberg:test.things", job.Reason());
        Assert.Contains(newest, job.Reason());
    }

    [Fact]
    public async Task A_damaged_segment_is_told_with_file_and_offset_and_its_readers_wait_visibly()
    {
        var segment = "log/topics/things/0/00000000000000000000.log";
        Damage(segment, 1000);
        await _platform.StartAsync(CancellationToken.None);
        var file = Path.Combine(_folder, "again.yaml");
        await File.WriteAllTextAsync(file, Pipeline.Replace("pipeline: things", "pipeline: again").Replace("test.things", "test.again"));
        await _platform.DoAsync("run", file);
        var job = await _platform.UntilJobAsync("again", j => j.Reason() is not null, "the job says what it waits for");
        Assert.Contains("source things waits for topic things", job.Reason());
        Assert.Contains("partition 0", job.Reason());
        Assert.Equal(0, job.In());
        Assert.Contains(PathOf(segment) + " is damaged at byte", _platform.Errors);
        Assert.Contains("restore the file from a backup", _platform.Errors);
    }

    [Theory]
    [InlineData("log/checkpoint", 20, " is damaged at byte 16: its checksum is wrong; move it away and start again")]
    [InlineData("log/topics/things/topic.json", 5, "restore it from a backup")]
    [InlineData("log/cluster.json", 5, "restore the file from a backup")]
    public async Task A_log_that_cannot_be_opened_ends_the_start_with_a_sentence(string file, int at, string told)
    {
        Damage(file, at);
        var answer = await _platform.CommandAsync(["up"]);
        Assert.Equal(1, answer.Code);
        Assert.Contains(PathOf(file), answer.Errors);
        Assert.Contains(told, answer.Errors);
        Assert.DoesNotContain("   at Millrace", answer.Errors);
    }

    [Fact]
    public async Task A_port_in_use_is_named_with_the_command_that_finds_its_user()
    {
        foreach (var (port, name) in new[] { (_platform.KafkaPort, "Kafka"), (_platform.HttpPort, "HTTP"), (_platform.PostgresPort, "PostgreSQL") })
        {
            using var holder = new TcpListener(IPAddress.Loopback, port);
            holder.Start();
            var answer = await _platform.CommandAsync(["up"]);
            Assert.Equal(1, answer.Code);
            Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"{name}: port {port} on 127.0.0.1 is in use"), answer.Errors);
            Assert.Contains("ss -ltnp", answer.Errors);
            Assert.DoesNotContain("Exception", answer.Errors);
        }
    }

    [Fact]
    public async Task A_folder_that_cannot_be_used_is_named_with_a_way_out()
    {
        var taken = Path.Combine(_folder, "a-file");
        await File.WriteAllTextAsync(taken, "");
        var asFile = await _platform.CommandAsync(["up", "--data", taken]);
        Assert.Equal(1, asFile.Code);
        Assert.Contains($"{taken} cannot be used as a folder", asFile.Errors);
        // The kernel gives nobody a folder there, root neither.
        var denied = await _platform.CommandAsync(["up", "--data", "/proc/1/millrace"]);
        Assert.Equal(1, denied.Code);
        Assert.Contains("/proc/1/millrace", denied.Errors);
        Assert.Contains("--data", denied.Errors);
        Assert.DoesNotContain("   at ", denied.Errors);
    }

    private string PathOf(string name) => Path.Combine(_folder, "data", name).TrimEnd('/');

    private void Damage(string name, int at)
    {
        using var file = File.Open(PathOf(name), FileMode.Open);
        file.Position = at;
        file.Write([0xDE, 0xAD, 0xBE, 0xEF]);
    }

    /// <summary>A data folder with a topic, a job and its table, made once and put back for each test.</summary>
    public sealed class GoodData : IAsyncLifetime
    {
        public string Folder { get; } = Directory.CreateTempSubdirectory("millrace-damaged-").FullName;

        private string Data => Path.Combine(Folder, "data");

        private string Copy => Path.Combine(Folder, "good");

        public async Task InitializeAsync()
        {
            await using (var platform = PlatformProcess.Create(Folder))
            {
                await platform.StartAsync(CancellationToken.None);
                await platform.DoAsync("topic", "create", "things", "--partitions", "1");
                var file = Path.Combine(Folder, "things.yaml");
                await File.WriteAllTextAsync(file, Pipeline);
                await platform.DoAsync("run", file);
                var records = string.Concat(Enumerable.Range(0, 500).Select(i => string.Create(
                    CultureInfo.InvariantCulture, $"{{\"id\":{i},\"kind\":\"k{i % 3}\",\"ts\":\"2026-01-01T00:{i / 60 % 60:00}:{i % 60:00}Z\"}}\n")));
                Assert.Equal(0, (await platform.CommandAsync(["topic", "produce", "things"], records)).Code);
                await platform.UntilJobAsync("things", j => j.Committed("iceberg:test.things") == 500, "all is in the table");
                await platform.StopAsync();
            }
            Directory.Move(Data, Copy);
        }

        public Task DisposeAsync()
        {
            Directory.Delete(Folder, recursive: true);
            return Task.CompletedTask;
        }

        internal PlatformProcess Restore()
        {
            // Paths in table metadata are absolute: the copy goes back to where it was.
            if (Directory.Exists(Data))
                Directory.Delete(Data, recursive: true);
            foreach (var file in Directory.EnumerateFiles(Copy, "*", SearchOption.AllDirectories))
            {
                var target = Path.Combine(Data, Path.GetRelativePath(Copy, file));
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                File.Copy(file, target);
            }
            return PlatformProcess.Create(Folder);
        }
    }
}
