using System.Text;
using System.Text.RegularExpressions;
using Millrace.Host.Settings;

namespace Millrace.Tests.House;

public sealed partial class DocumentTests
{
    private static readonly string[] Skipped = ["node_modules", "artifacts", "bin", "obj", "dist", ".git"];

    [Fact]
    public void Every_relative_link_and_anchor_leads_somewhere()
    {
        var broken = new List<string>();
        foreach (var page in Pages())
        {
            var text = WithoutCode(File.ReadAllText(page));
            foreach (Match link in Links().Matches(text))
            {
                var target = link.Groups[1].Value;
                if (target.Contains("://", StringComparison.Ordinal) || target.StartsWith("mailto:", StringComparison.Ordinal))
                    continue;
                var (path, anchor) = target.Split('#', 2) is [var p, var a] ? (p, a) : (target, null);
                var file = path.Length == 0 ? page : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(page)!, Uri.UnescapeDataString(path)));
                if (!Path.Exists(file))
                    broken.Add($"{Relative(page)}: {target} is not there");
                else if (anchor is not null && file.EndsWith(".md", StringComparison.Ordinal) && !AnchorsOf(file).Contains(anchor))
                    broken.Add($"{Relative(page)}: {target} has no such heading");
            }
        }
        Assert.Empty(broken);
    }

    [Fact]
    public void The_front_page_is_short_and_has_a_picture_that_is_there()
    {
        var lines = File.ReadAllLines(Path.Combine(Repository.Root, "README.md"));
        Assert.InRange(lines.Length, 1, 100);
        Assert.Contains(lines, l => l.Contains("](docs/console.png)", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_room_has_a_page_of_at_most_forty_lines()
    {
        foreach (var room in Directory.GetDirectories(Path.Combine(Repository.Root, "src")).Where(d => Directory.GetFiles(d, "*.csproj").Length > 0))
            Assert.InRange(File.ReadAllLines(Path.Combine(room, "README.md")).Length, 1, 40);
    }

    [Fact]
    public void The_page_of_settings_names_each_and_its_example_is_one_that_is_read()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "reference", "settings.md"));
        var example = page.Split("```yaml\n")[1].Split("```")[0];
        var settings = SettingsFile.Parse(example, "settings.md");
        var defaults = new PlatformSettings();
        Assert.Equal((defaults.Kafka, defaults.Http, defaults.Postgres, defaults.Tables), (settings.Kafka, settings.Http, settings.Postgres, settings.Tables));
        Assert.Equal((defaults.Query.MemoryBytes, defaults.Query.SpillBytes, defaults.Query.Timeout), (settings.Query.MemoryBytes, settings.Query.SpillBytes, settings.Query.Timeout));
        foreach (var name in SettingsFile.Names)
            Assert.Contains("`" + name, page);
    }

    private static IEnumerable<string> Pages() => Directory.EnumerateFiles(Repository.Root, "*.md", SearchOption.AllDirectories)
        .Where(f => !Relative(f).Split('/').Intersect(Skipped).Any());

    private static string Relative(string file) => Path.GetRelativePath(Repository.Root, file);

    private static string WithoutCode(string text)
    {
        var kept = new StringBuilder();
        var fenced = false;
        foreach (var line in text.Split('\n'))
        {
            if (line.TrimStart().StartsWith("```", StringComparison.Ordinal))
                fenced = !fenced;
            else if (!fenced)
                kept.AppendLine(Code().Replace(line, "code"));
        }
        return kept.ToString();
    }

    /// <summary>Headings as GitHub makes anchors of them: lower case, punctuation gone, spaces to dashes, repeats numbered.</summary>
    private static HashSet<string> AnchorsOf(string file)
    {
        var anchors = new HashSet<string>(StringComparer.Ordinal);
        var fenced = false;
        foreach (var line in File.ReadLines(file))
        {
            if (line.TrimStart().StartsWith("```", StringComparison.Ordinal))
                fenced = !fenced;
            if (fenced || !line.StartsWith('#'))
                continue;
            var title = line.TrimStart('#').Trim().ToLowerInvariant().Replace(' ', '-');
            var anchor = new string([.. title.Where(c => char.IsLetterOrDigit(c) || c is '-' or '_')]);
            for (var repeat = 0; !anchors.Add(repeat == 0 ? anchor : $"{anchor}-{repeat}"); repeat++)
            {
            }
        }
        return anchors;
    }

    [GeneratedRegex(@"\]\(([^()\s]+)\)")]
    private static partial Regex Links();

    [GeneratedRegex("`[^`]*`")]
    private static partial Regex Code();
}
