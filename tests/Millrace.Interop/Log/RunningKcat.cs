using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Millrace.Interop.Log;

/// <summary>A kcat that goes on reading records of the form <c>partition:round</c>.</summary>
internal sealed class RunningKcat : IAsyncDisposable
{
    private readonly Process _process;
    private readonly ConcurrentBag<(int Partition, int Round)> _seen = [];

    private RunningKcat(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) =>
        {
            if (line.Data?.Split(':') is [var partition, var round])
                _seen.Add((int.Parse(partition, CultureInfo.InvariantCulture), int.Parse(round, CultureInfo.InvariantCulture)));
        };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public static RunningKcat Start(IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo("kcat") { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return new RunningKcat(Process.Start(start)!);
    }

    /// <summary>Partitions of which it has seen the newest round, or any from one on.</summary>
    public int Partitions(int fromRound)
    {
        if (_seen.IsEmpty)
            return 0;
        var recent = Math.Max(fromRound, _seen.Max(s => s.Round) - 5);
        return _seen.Where(s => s.Round >= recent).Select(s => s.Partition).Distinct().Count();
    }

    /// <summary>SIGTERM: it leaves its group.</summary>
    public async Task TerminateAsync()
    {
        using var kill = Process.Start("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)])!;
        await kill.WaitForExitAsync();
        await _process.WaitForExitAsync();
    }

    /// <summary>SIGKILL: nobody is told.</summary>
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
}
