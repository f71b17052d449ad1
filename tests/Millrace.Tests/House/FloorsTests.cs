using System.Xml.Linq;

namespace Millrace.Tests.House;

/// <summary>The house stands on floors (docs/architecture.md); a project may refer only to projects on lower floors.</summary>
public sealed class FloorsTests
{
    private static readonly Dictionary<string, int> Floors = new()
    {
        ["Millrace.Columnar"] = 0,
        ["Millrace.Structures"] = 0,
        ["Millrace.Storage"] = 0,
        ["Millrace.Kafka"] = 1,
        ["Millrace.Raft"] = 1,
        ["Millrace.DuckDb"] = 1,
        ["Millrace.Schemas"] = 1,
        ["Millrace.Log"] = 2,
        ["Millrace.Iceberg"] = 2,
        ["Millrace.Coordination"] = 2,
        ["Millrace.Query"] = 3,
        ["Millrace.Streams"] = 3,
        ["Millrace.Pipelines"] = 4,
        ["Millrace.Console"] = 5,
        ["Millrace"] = 6,
    };

    [Fact]
    public void Every_project_has_a_floor()
    {
        var unknown = Projects().Select(p => p.Name).Where(n => !Floors.ContainsKey(n));
        Assert.Empty(unknown);
    }

    [Fact]
    public void References_go_downward_only()
    {
        var upward =
            from project in Projects()
            from reference in project.References
            where Floors[reference] >= Floors[project.Name]
            select $"{project.Name} (floor {Floors[project.Name]}) refers to {reference} (floor {Floors[reference]})";
        Assert.Empty(upward);
    }

    [Fact]
    public void Each_project_explains_itself_in_at_most_forty_lines()
    {
        var wrong =
            from project in Projects()
            let readme = Path.Combine(project.Folder, "README.md")
            where !File.Exists(readme) || File.ReadAllLines(readme).Length > 40
            select project.Name;
        Assert.Empty(wrong);
    }

    private static IEnumerable<(string Name, string Folder, string[] References)> Projects() =>
        from file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories)
        let references = XDocument.Load(file).Descendants("ProjectReference")
            .Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/')))
        select (Path.GetFileNameWithoutExtension(file), Path.GetDirectoryName(file)!, references.ToArray());
}
