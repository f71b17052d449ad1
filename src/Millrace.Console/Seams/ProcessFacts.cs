using System.Diagnostics;
using System.Reflection;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Seams;

/// <summary>This process, from the operating system. The data folder is measured at most every 15 s, since that walks it.</summary>
public sealed class ProcessFacts : IProcess
{
    private static readonly TimeSpan SampleEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan WalkEvery = TimeSpan.FromSeconds(15);

    private readonly string _dataFolder;
    private readonly TimeProvider _time;
    private readonly long _started;
    private readonly Lock _gate = new();
    private ProcessInfo? _last;
    private long _sampledAt;
    private TimeSpan _cpuAt;
    private long _walkedAt;
    private long _dataBytes = -1;

    public ProcessFacts(string dataFolder, TimeProvider time)
    {
        _dataFolder = dataFolder;
        _time = time;
        _started = time.GetTimestamp();
        StartedAt = time.GetUtcNow();
    }

    public DateTimeOffset StartedAt { get; }

    /// <summary>The product's version, without build metadata.</summary>
    public static string Version { get; } =
        (typeof(ProcessFacts).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0").Split('+')[0];

    public ProcessInfo Look()
    {
        lock (_gate)
        {
            var now = _time.GetTimestamp();
            if (_last is not null && _time.GetElapsedTime(_sampledAt, now) < SampleEvery)
                return _last;
            using var process = Process.GetCurrentProcess();
            var cpu = process.TotalProcessorTime;
            var seconds = _last is null ? 0 : _time.GetElapsedTime(_sampledAt, now).TotalSeconds;
            var share = seconds > 0 ? (cpu - _cpuAt).TotalSeconds / seconds : 0;
            _sampledAt = now;
            _cpuAt = cpu;
            if (_dataBytes < 0 || _time.GetElapsedTime(_walkedAt, now) >= WalkEvery)
            {
                _dataBytes = Measure(_dataFolder);
                _walkedAt = now;
            }
            var (free, total) = Disk(_dataFolder);
            return _last = new ProcessInfo(
                Version, StartedAt, Math.Round(_time.GetElapsedTime(_started, now).TotalSeconds), Math.Round(Math.Max(0, share), 3),
                Math.Round(cpu.TotalSeconds, 2), Environment.ProcessorCount, process.WorkingSet64, GC.GetTotalMemory(false), process.Threads.Count,
                _dataBytes, free, total);
        }
    }

    private static (long Free, long Total) Disk(string folder)
    {
        if (!Directory.Exists(folder))
            return (0, 0);
        var drive = new DriveInfo(folder);
        return (drive.AvailableFreeSpace, drive.TotalSize);
    }

    private static long Measure(string folder)
    {
        if (!Directory.Exists(folder))
            return 0;
        var options = new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true };
        long sum = 0;
        foreach (var file in new DirectoryInfo(folder).EnumerateFiles("*", options))
        {
            try
            {
                sum += file.Length;
            }
            catch (FileNotFoundException)
            {
                // Compaction took it between the listing and the look.
            }
        }
        return sum;
    }
}
