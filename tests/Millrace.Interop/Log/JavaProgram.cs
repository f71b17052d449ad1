using System.Collections.Concurrent;
using System.Diagnostics;
using Millrace.Tests;

namespace Millrace.Interop.Log;

/// <summary>One of the small programs in <c>Java/</c>, on Apache Kafka's own client libraries, while it runs.</summary>
internal sealed class JavaProgram : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly ConcurrentQueue<string> _errors = new();

    private JavaProgram(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Note(_lines, line.Data);
        process.ErrorDataReceived += (_, line) => Note(_errors, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>What it has written, line by line.</summary>
    public IReadOnlyCollection<string> Lines => _lines;

    public static JavaProgram Start(string name, params string[] arguments)
    {
        var start = new ProcessStartInfo("java")
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        var source = Path.Combine(Repository.Root, "tests/Millrace.Interop/Log/Java", name + ".java");
        foreach (var argument in (string[])["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", Path.Combine(Repository.Engines!, "kafka/libs/*"), source, .. arguments])
            start.ArgumentList.Add(argument);
        return new JavaProgram(Process.Start(start)!);
    }

    /// <summary>The partitions that it said last it owned.</summary>
    public string[] Owned()
    {
        var line = _lines.LastOrDefault(l => l.StartsWith("owns ", StringComparison.Ordinal));
        return line?.Split(' ') is [_, _, { Length: > 0 } list] ? list.Split(',') : [];
    }

    /// <summary>Waits until something is so.</summary>
    public async Task Until(Func<bool> condition, string what)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            if (TimeProvider.System.GetElapsedTime(started) > Patience || _process.HasExited)
                throw new Xunit.Sdk.XunitException($"{what} did not come to pass:\n{string.Join('\n', _lines.TakeLast(20))}\n{string.Join('\n', _errors.TakeLast(40))}");
            await Task.Delay(20);
        }
    }

    /// <summary>Ends its input, on which it leaves in order.</summary>
    public async Task StopAsync()
    {
        _process.StandardInput.Close();
        using var patience = new CancellationTokenSource(Patience);
        await _process.WaitForExitAsync(patience.Token);
        Assert.True(_process.ExitCode == 0, string.Join('\n', _errors));
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _process.Dispose();
    }

    private static void Note(ConcurrentQueue<string> lines, string? line)
    {
        if (line is not null)
            lines.Enqueue(line);
    }
}
