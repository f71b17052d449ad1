using System.Diagnostics;
using System.Globalization;

namespace Millrace.Interop.Etcd;

/// <summary>Three network namespaces on one bridge, which this process's host can reach too; their links can be cut and slowed by tc.</summary>
internal sealed class NetworkOfThree : IDisposable
{
    private readonly string _id = (Environment.ProcessId % 10_000).ToString(CultureInfo.InvariantCulture);
    private readonly string[] _names;

    private NetworkOfThree(string[] names) => _names = names;

    /// <summary>Whether this user may make namespaces here.</summary>
    public static bool IsPossible { get; } = Try("ip", "netns", "add", "millrace-try") && Try("ip", "netns", "del", "millrace-try") && Try("tc", "-V");

    private string Bridge => "mrb" + _id;

    public static NetworkOfThree Create(params string[] names)
    {
        var network = new NetworkOfThree(names);
        network.Dispose();
        Run("ip", "link", "add", network.Bridge, "type", "bridge");
        Run("ip", "addr", "add", network.AddressAt(254) + "/24", "dev", network.Bridge);
        Run("ip", "link", "set", network.Bridge, "up");
        for (var i = 0; i < names.Length; i++)
        {
            var (inner, outer) = (network.SpaceOf(names[i]), network.LinkOf(names[i]));
            Run("ip", "netns", "add", inner);
            Run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", inner);
            Run("ip", "link", "set", outer, "master", network.Bridge);
            Run("ip", "link", "set", outer, "up");
            Run("ip", "-n", inner, "addr", "add", network.AddressAt(i + 1) + "/24", "dev", "eth0");
            Run("ip", "-n", inner, "link", "set", "eth0", "up");
            Run("ip", "-n", inner, "link", "set", "lo", "up");
        }
        return network;
    }

    public string AddressOf(string name) => AddressAt(Array.IndexOf(_names, name) + 1);

    /// <summary>What a program's command line begins with to run as this member.</summary>
    public string[] Enter(string name) => ["ip", "netns", "exec", SpaceOf(name)];

    /// <summary>Nothing gets to or from a member.</summary>
    public void Cut(string name) => Run("ip", "link", "set", LinkOf(name), "down");

    /// <summary>Nothing that a member says gets out; it hears all.</summary>
    public void Mute(string name)
    {
        foreach (var half in Halves)
            Run("ip", "-n", SpaceOf(name), "route", "add", "blackhole", half);
    }

    /// <summary>Nothing that the others say gets to a member; they hear it.</summary>
    public void Deafen(string name)
    {
        foreach (var other in _names.Where(n => n != name))
            Run("ip", "-n", SpaceOf(other), "route", "add", "blackhole", AddressOf(name) + "/32");
    }

    /// <summary>What a member says takes long and comes unsteadily: by netem, or where the kernel has none by little bandwidth and a queue.</summary>
    public void Slow(string name, int millis)
    {
        string[] device = ["tc", "-n", SpaceOf(name), "qdisc", "replace", "dev", "eth0", "root"];
        if (!Try([.. device, "netem", "delay", $"{millis}ms", $"{millis / 2}ms", "loss", "2%"]))
            Run([.. device, "tbf", "rate", "400kbit", "burst", "4kb", "latency", "400ms"]);
    }

    public void Heal(string name)
    {
        Try("tc", "-n", SpaceOf(name), "qdisc", "del", "dev", "eth0", "root");
        foreach (var half in Halves)
            Try("ip", "-n", SpaceOf(name), "route", "del", "blackhole", half);
        foreach (var other in _names.Where(n => n != name))
            Try("ip", "-n", SpaceOf(other), "route", "del", "blackhole", AddressOf(name) + "/32");
        Run("ip", "link", "set", LinkOf(name), "up");
    }

    public void Dispose()
    {
        foreach (var name in _names)
        {
            Try("ip", "netns", "del", SpaceOf(name));
            Try("ip", "link", "del", LinkOf(name));
        }
        Try("ip", "link", "del", Bridge);
    }

    /// <summary>More particular than the way to the network, so they come first.</summary>
    private string[] Halves => [AddressAt(0) + "/25", AddressAt(128) + "/25"];

    private string AddressAt(int last) => $"10.213.{int.Parse(_id, CultureInfo.InvariantCulture) % 250}.{last}";

    private string SpaceOf(string name) => $"mr{_id}{name}";

    private string LinkOf(string name) => $"mrv{_id}{name}";

    private static void Run(params string[] words)
    {
        if (!Try(words))
            throw new InvalidOperationException(string.Join(' ', words) + " failed");
    }

    private static bool Try(params string[] words)
    {
        try
        {
            var start = new ProcessStartInfo(words[0]) { RedirectStandardError = true, RedirectStandardOutput = true };
            foreach (var word in words[1..])
                start.ArgumentList.Add(word);
            using var process = Process.Start(start)!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}

/// <summary>A fact that needs the rights to make network namespaces and to mount; skipped by name without them.</summary>
internal sealed class NamespaceFactAttribute : FactAttribute
{
    public NamespaceFactAttribute()
    {
        if (!NetworkOfThree.IsPossible)
            Skip = "needs root and iproute2 (network namespaces, tc)";
    }
}
