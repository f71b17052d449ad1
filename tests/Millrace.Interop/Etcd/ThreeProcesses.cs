using System.Collections.Concurrent;
using System.Diagnostics;
using Millrace.Bench.Running;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>A group of real processes, as `millrace cluster start` runs them, on free ports of loopback.</summary>
internal sealed class ThreeProcesses : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-group").FullName;
    private readonly Dictionary<string, Process> _running = [];
    private readonly Dictionary<string, (int Client, int Peer)> _ports = [];
    private readonly ConcurrentQueue<string> _said = new();
    private string _members = "";
    private string[] _more = [];
    private Func<string, string> _hostOf = static _ => "127.0.0.1";
    private Func<string, string[]> _enter = static _ => [];

    private static string Program { get; } = Path.Combine(Repository.Root, "artifacts", "bin", "Millrace", "release", "Millrace.dll");

    public string Endpoints => string.Join(',', _ports.Keys.Select(EndpointOf));

    public IEnumerable<string> Names => _ports.Keys;

    public string EndpointOf(string name) => $"{_hostOf(name)}:{_ports[name].Client}";

    public string PeerUrlOf(string name) => $"http://{_hostOf(name)}:{_ports[name].Peer}";

    public string EndpointsBut(string name) => string.Join(',', _ports.Keys.Where(n => n != name).Select(EndpointOf));

    /// <summary>All lines that members printed or logged.</summary>
    public IEnumerable<string> Said => _said;

    public IEnumerable<Uri> Addresses => _ports.Keys.Select(n => new Uri("http://" + EndpointOf(n)));

    public string FolderOf(string name) => Path.Combine(_folder, name);

    public int PidOf(string name) => _running[name].Id;

    public static ThreeProcesses Start(params string[] names) => StartWith([], names);

    /// <param name="more">Words on every member's command line.</param>
    /// <param name="names">Of the members.</param>
    public static ThreeProcesses StartWith(string[] more, params string[] names)
    {
        var group = new ThreeProcesses { _more = more };
        group.Settle(names);
        foreach (var name in names)
            group.StartMember(name);
        return group;
    }

    /// <param name="hostOf">Where a member listens.</param>
    /// <param name="enter">What its command line begins with.</param>
    /// <param name="more">Words on every member's command line.</param>
    /// <param name="names">Of the members.</param>
    public static ThreeProcesses StartIn(Func<string, string> hostOf, Func<string, string[]> enter, string[] more, params string[] names)
    {
        var group = new ThreeProcesses { _hostOf = hostOf, _enter = enter, _more = more };
        group.Settle(names);
        foreach (var name in names)
            group.StartMember(name);
        return group;
    }

    /// <summary>Members to be started one by one.</summary>
    public static ThreeProcesses Prepared(params string[] names)
    {
        var group = new ThreeProcesses();
        group.Settle(names);
        return group;
    }

    /// <summary>A command of `millrace` to this group.</summary>
    public async Task<(int Code, string Output, string Errors)> CommandAsync(params string[] words)
    {
        using var process = StartCommand(words);
        var said = await Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, said[0], said[1]);
    }

    /// <summary>One that goes on. What stands behind -- is another program's.</summary>
    public Process StartCommand(params string[] words)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        var own = Array.IndexOf(words, "--") is >= 0 and var at ? at : words.Length;
        foreach (var word in (string[])[Program, .. words[..own], "--endpoints", Endpoints, .. words[own..]])
            start.ArgumentList.Add(word);
        return Process.Start(start)!;
    }

    public bool HasEnded(string name) => _running[name].HasExited;

    /// <summary>One that was removed is asked no more.</summary>
    public void Leave(string name) => _ports.Remove(name);

    /// <summary>A member that ended by itself may be started again.</summary>
    public async Task ForgetAsync(string name)
    {
        _running.Remove(name, out var process);
        await process!.WaitForExitAsync();
        process.Dispose();
    }

    public async Task KillAllAsync()
    {
        foreach (var name in _running.Keys.ToArray())
            await KillAsync(name);
    }

    /// <summary>Gives a member that is to be added its ports.</summary>
    public void Prepare(string name) => _ports[name] = (LoopbackPorts.Take(1)[0], LoopbackPorts.Take(1)[0]);

    /// <summary>Starts a prepared member once the group has added it.</summary>
    public void Join(string name) => StartMember(name, $"{_members},{name}={_hostOf(name)}:{_ports[name].Peer}", "--join");

    public void StartMember(string name) => StartMember(name, _members);

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync(string name)
    {
        _running.Remove(name, out var process);
        process!.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAllAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private void StartMember(string name, string members, params string[] more)
    {
        string[] words =
        [
            .. _enter(name), "dotnet", Program, "cluster", "start", "--name", name, "--data", Path.Combine(_folder, name), "--listen", EndpointOf(name),
            "--members", members, .. _more, .. more,
        ];
        var start = new ProcessStartInfo(words[0]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var word in words[1..])
            start.ArgumentList.Add(word);
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => _said.Enqueue($"{name}: {line.Data}");
        process.ErrorDataReceived += (_, line) => _said.Enqueue($"{name}: {line.Data}");
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _running[name] = process;
    }

    private void Settle(string[] names)
    {
        foreach (var name in names)
            _ports[name] = (LoopbackPorts.Take(1)[0], LoopbackPorts.Take(1)[0]);
        _members = string.Join(',', _ports.Select(p => $"{p.Key}={_hostOf(p.Key)}:{p.Value.Peer}"));
    }
}
