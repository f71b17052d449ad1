using System.Globalization;

namespace Millrace.Bench.Streams;

/// <summary>Processor time of a process's threads by name, from /proc/PID/task (proc(5): utime and stime in ticks of 10 ms).</summary>
internal static class ThreadTimes
{
    /// <param name="process">Its id; null for this process.</param>
    public static Dictionary<string, double> Read(int? process = null)
    {
        var times = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var task in Directory.EnumerateDirectories($"/proc/{process?.ToString(CultureInfo.InvariantCulture) ?? "self"}/task"))
        {
            string stat;
            try
            {
                stat = File.ReadAllText(task + "/stat");
            }
            catch (IOException)
            {
                // The thread ended meanwhile.
                continue;
            }
            var open = stat.IndexOf('(', StringComparison.Ordinal);
            var close = stat.LastIndexOf(')');
            var fields = stat[(close + 2)..].Split(' ');
            var seconds = (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / 100.0;
            var name = stat[(open + 1)..close];
            times[name] = times.GetValueOrDefault(name) + seconds;
        }
        return times;
    }

    /// <summary>Time since <paramref name="before"/> by thread, in microseconds per <paramref name="per"/>, largest first.</summary>
    public static string Describe(Dictionary<string, double> before, double per, int? process = null) => string.Join(", ", Read(process)
        .Select(t => (t.Key, Value: (t.Value - before.GetValueOrDefault(t.Key)) * 1e6 / per)).Where(t => t.Value >= 0.005)
        .OrderByDescending(t => t.Value).Select(t => string.Create(CultureInfo.InvariantCulture, $"{t.Key} {t.Value:0.000}")));

    /// <summary>Seconds since <paramref name="before"/> of threads whose names begin so.</summary>
    public static double Of(Dictionary<string, double> before, params string[] prefixes) => Read()
        .Where(t => prefixes.Any(p => t.Key.StartsWith(p, StringComparison.Ordinal))).Sum(t => t.Value - before.GetValueOrDefault(t.Key));
}
