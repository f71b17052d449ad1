using System.Diagnostics;
using System.Globalization;

namespace Millrace.Bench.Running;

/// <summary>Ends processes as their keepers would, or as nobody would.</summary>
internal static class ProcessEnds
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>SIGTERM, then waits; SIGKILL when it takes too long.</summary>
    public static async Task TerminateAsync(this Process process)
    {
        using (var kill = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)])!)
            await kill.WaitForExitAsync();
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
        }
    }
}
