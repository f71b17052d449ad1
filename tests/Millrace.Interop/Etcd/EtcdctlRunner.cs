using System.Diagnostics;
using System.Text.RegularExpressions;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>Runs one of the real etcdctl programs.</summary>
internal sealed class EtcdctlRunner(string program, string endpoints)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly Dictionary<string, string> _captured = [];

    /// <summary>The newest, from the engines; null where they are absent.</summary>
    public static string? Newest { get; } = Existing(Path.Combine(Repository.Engines ?? "/", "go", "etcdctl"));

    /// <summary>Debian's; null where it is not installed.</summary>
    public static string? Debian { get; } = Existing("/usr/bin/etcdctl");

    /// <summary>
    /// Runs a command that must succeed with output matching a pattern, or, when the pattern begins with an exclamation mark, fail with
    /// such words. Named groups of patterns can be used in later commands as {name}.
    /// </summary>
    public async Task ExpectAsync(string command, string pattern, string? input = null)
    {
        var (code, output, error) = await RunAsync(command, input);
        var wantsFailure = pattern.StartsWith('!');
        var text = wantsFailure ? error : output;
        var match = Regex.Match(text.Trim(), wantsFailure ? pattern[1..] : "^(?:" + pattern + ")$", RegexOptions.Singleline);
        Assert.True((code != 0) == wantsFailure && match.Success,
            $"etcdctl {command}\nexpected {pattern}\nexit {code}\noutput: {output}\nerror: {error}");
        foreach (Group group in match.Groups)
        {
            if (!char.IsAsciiDigit(group.Name[0]))
                _captured[group.Name] = group.Value;
        }
    }

    public string this[string captured] => _captured[captured];

    /// <summary>Starts a command that goes on; wait for its lines, then dispose it.</summary>
    public Streaming Start(string command, string? input = null)
    {
        var process = StartProcess(command);
        process.StandardInput.Write(input ?? "");
        process.StandardInput.Flush();
        return new Streaming(process);
    }

    public async Task<(int Code, string Output, string Error)> RunAsync(string command, string? input = null)
    {
        using var process = StartProcess(command);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.StandardInput.WriteAsync(input ?? "");
        process.StandardInput.Close();
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            Assert.Fail($"etcdctl {command} did not end within {Patience}");
        }
        return (process.ExitCode, await output, await error);
    }

    private Process StartProcess(string command)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment["ETCDCTL_API"] = "3";
        start.Environment["ETCDCTL_ENDPOINTS"] = endpoints;
        start.Environment["ETCDCTL_COMMAND_TIMEOUT"] = "20s";
        foreach (var word in Regex.Matches(command, "\"([^\"]*)\"|(\\S+)").Select(m => m.Groups[1].Success ? m.Groups[1].Value : m.Value))
            start.ArgumentList.Add(Regex.Replace(word, @"\{(\w+)\}", m => _captured[m.Groups[1].Value]));
        return Process.Start(start)!;
    }

    private static string? Existing(string path) => File.Exists(path) ? path : null;

    /// <summary>A command that prints until it is ended.</summary>
    internal sealed class Streaming(Process process) : IAsyncDisposable
    {
        private bool _isDisposed;

        /// <summary>Reads lines and compares each with what is expected.</summary>
        public async Task ExpectLinesAsync(params string[] lines)
        {
            using var patience = new CancellationTokenSource(Patience);
            foreach (var expected in lines)
            {
                string? line;
                try
                {
                    line = await process.StandardOutput.ReadLineAsync(patience.Token);
                }
                catch (OperationCanceledException)
                {
                    line = "(nothing in time)";
                }
                Assert.Matches("^" + expected + "$", line ?? "(end) " + await process.StandardError.ReadToEndAsync());
            }
        }

        public async Task<IReadOnlyList<string>> ReadLinesAsync(int count)
        {
            var lines = new List<string>();
            using var patience = new CancellationTokenSource(Patience);
            while (lines.Count < count)
            {
                try
                {
                    if (await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
                    {
                        lines.Add(line);
                        continue;
                    }
                    lines.Add("(end) " + await process.StandardError.ReadToEndAsync(CancellationToken.None));
                }
                catch (OperationCanceledException)
                {
                    lines.Add("(nothing in time)");
                }
                break;
            }
            return lines;
        }

        /// <summary>SIGTERM, upon which a lock or seat is given back. SIGINT would do, but a process keeps ignoring it when the shell that began the tests did.</summary>
        public async Task InterruptAsync()
        {
            using (var kill = Process.Start("kill", ["-TERM", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
                await kill.WaitForExitAsync();
            using var patience = new CancellationTokenSource(Patience);
            await process.WaitForExitAsync(patience.Token);
            await DisposeAsync();
        }

        public async ValueTask DisposeAsync()
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }
    }
}

/// <summary>A theory over the etcdctl programs that this machine has; skipped by name where there is none.</summary>
internal sealed class EtcdctlTheoryAttribute : TheoryAttribute
{
    public EtcdctlTheoryAttribute()
    {
        if (EtcdctlRunner.Newest is null && EtcdctlRunner.Debian is null)
            Skip = "needs etcdctl (shared/engines/unpack, or apt install etcd-client)";
    }
}
