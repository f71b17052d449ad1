using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Millrace.Bench.Running;

/// <summary>
/// A platform in a process of its own on free ports of loopback, started as a user would (<c>up</c>), driven over HTTP, and killed as
/// nobody would. Its data folder outlives it.
/// </summary>
public sealed class PlatformProcess : IAsyncDisposable
{
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(60) };
    private readonly string _program;
    private readonly string[] _wrapper;
    private string? _brokers;
    private readonly StringBuilder _errors = new();
    private Process? _process;

    private PlatformProcess(string folder, int kafka, int http, int postgres, int etcd, string[] wrapper)
    {
        Folder = folder;
        _wrapper = wrapper;
        KafkaPort = kafka;
        HttpPort = http;
        PostgresPort = postgres;
        EtcdPort = etcd;
        _program = Program;
    }

    /// <summary>What a user runs, with its native code if it was built so, before the copy beside this assembly.</summary>
    public static string Program { get; } = FindProgram();

    public string Folder { get; }

    public int KafkaPort { get; }

    public int HttpPort { get; }

    public int PostgresPort { get; }

    public int EtcdPort { get; }

    /// <summary>Where pipelines and producers find their topics: the embedded log, or what <see cref="UseBrokers"/> named.</summary>
    public string Brokers => _brokers ?? $"127.0.0.1:{KafkaPort}";

    public Uri Address => new($"http://127.0.0.1:{HttpPort}");

    public int ProcessId => _process?.Id ?? throw new InvalidOperationException("the platform does not run");

    /// <summary>What the process wrote to standard error, the last part.</summary>
    public string Errors
    {
        get
        {
            lock (_errors)
                return _errors.ToString();
        }
    }

    /// <summary>Chooses ports and a folder; <see cref="StartAsync"/> starts it.</summary>
    /// <param name="folder">For its settings file and its data.</param>
    /// <param name="wrapper">A command line that the platform's own is appended to, e.g. one that limits it.</param>
    public static PlatformProcess Create(string folder, params string[] wrapper)
    {
        var ports = LoopbackPorts.Take(4);
        Directory.CreateDirectory(folder);
        var platform = new PlatformProcess(folder, ports[0], ports[1], ports[2], ports[3], wrapper);
        File.WriteAllText(Path.Combine(folder, "millrace.yaml"), string.Create(
            CultureInfo.InvariantCulture,
            $"data: {Path.Combine(folder, "data")}\nkafka: {{port: {ports[0]}}}\nhttp: {{port: {ports[1]}}}\npostgres: {{port: {ports[2]}}}\n"
            + $"coordination: {{port: {ports[3]}}}\n"));
        return platform;
    }

    /// <summary>Points the platform at another Kafka cluster, by the one line of settings that takes.</summary>
    public void UseBrokers(string brokers)
    {
        _brokers = brokers;
        File.AppendAllText(Path.Combine(Folder, "millrace.yaml"), $"brokers: {brokers}\n");
    }

    /// <summary>Starts the process and returns when it is ready, with the time that took.</summary>
    /// <exception cref="InvalidOperationException">It ended or did not become ready in a minute.</exception>
    public async Task<TimeSpan> StartAsync(CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        _process = Run(["up", "--config", Path.Combine(Folder, "millrace.yaml")], _wrapper);
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
            {
                if (_errors.Length > 64 << 10)
                    _errors.Remove(0, 32 << 10);
                _errors.AppendLine(line.Data);
            }
        };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        while (clock.Elapsed < TimeSpan.FromMinutes(1))
        {
            if (_process.HasExited)
                throw new InvalidOperationException($"the platform ended with {_process.ExitCode}:\n{Errors}");
            try
            {
                using var answer = await Http.GetAsync(new Uri(Address, "/readyz"), cancellation);
                if (answer.IsSuccessStatusCode)
                    return clock.Elapsed;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
            await Task.Delay(10, cancellation);
        }
        throw new InvalidOperationException($"the platform was not ready in a minute:\n{Errors}");
    }

    /// <summary>SIGKILL: no handler runs, nothing is flushed.</summary>
    public async Task KillAsync()
    {
        if (_process is not { HasExited: false } process)
            return;
        process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
        _process = null;
    }

    /// <summary>SIGTERM, then waits.</summary>
    public async Task StopAsync()
    {
        if (_process is not { HasExited: false } process)
            return;
        await process.TerminateAsync();
        process.Dispose();
        _process = null;
    }

    /// <summary>Runs the program with other arguments, e.g. the replay, its output redirected.</summary>
    public Process Run(IReadOnlyList<string> arguments) => Run(arguments, []);

    private Process Run(IReadOnlyList<string> arguments, string[] wrapper)
    {
        var start = new ProcessStartInfo(wrapper.Length > 0 ? wrapper[0] : "dotnet")
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, UseShellExecute = false,
        };
        foreach (var part in wrapper.Skip(1).Concat(wrapper.Length > 0 ? ["dotnet"] : []))
            start.ArgumentList.Add(part);
        start.ArgumentList.Add(_program);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["MILLRACE_ROOT"] = Millrace.Host.Demo.ExampleData.Root;
        return Process.Start(start)!;
    }

    public async Task<JsonNode> GetAsync(string path, CancellationToken cancellation)
    {
        using var answer = await Http.GetAsync(new Uri(Address, path), cancellation);
        var text = await answer.Content.ReadAsStringAsync(cancellation);
        return answer.IsSuccessStatusCode ? JsonNode.Parse(text)! : throw new InvalidOperationException($"GET {path}: {(int)answer.StatusCode} {text}");
    }

    public async Task<JsonNode?> PostAsync(string path, string body, string type, CancellationToken cancellation)
    {
        using var content = new StringContent(body, Encoding.UTF8, type);
        using var answer = await Http.PostAsync(new Uri(Address, path), content, cancellation);
        var text = await answer.Content.ReadAsStringAsync(cancellation);
        if (!answer.IsSuccessStatusCode)
            throw new InvalidOperationException($"POST {path}: {(int)answer.StatusCode} {text}");
        return text.Length == 0 ? null : JsonNode.Parse(text);
    }

    /// <summary>The rows of a statement.</summary>
    public async Task<JsonArray> SqlAsync(string sql, CancellationToken cancellation)
    {
        var answer = await PostAsync(
            "/api/sql", new JsonObject { ["sql"] = sql, ["maxRows"] = 10_000 }.ToJsonString(), "application/json", cancellation);
        return answer!["rows"]!.AsArray();
    }

    /// <summary>Processor seconds that the process has used, user and system.</summary>
    public double CpuSeconds()
    {
        var fields = File.ReadAllText($"/proc/{ProcessId}/stat").Split(") ", 2)[1].Split(' ');
        return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / 100.0;
    }

    public long ResidentBytes()
    {
        var line = File.ReadLines($"/proc/{ProcessId}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }

    public async ValueTask DisposeAsync() => await KillAsync();

    private static string FindProgram()
    {
        var built = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "Millrace", "release", "Millrace.dll"));
        return File.Exists(built) ? built : typeof(Millrace.Host.Demo.RetailReplay).Assembly.Location;
    }
}
