import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.util.Map;

/** Logs in by the variables that a handle gives, over TCP as Java does it, and prints what the server answers. */
public class Asks {
    public static void main(String[] arguments) throws Exception {
        Map<String, String> given = System.getenv();
        String url = "jdbc:postgresql://" + given.get("PGHOST") + ":" + given.get("PGPORT") + "/"
            + given.get("PGDATABASE");
        try (Connection connection = DriverManager.getConnection(url, given.get("PGUSER"), given.get("PGPASSWORD"));
             ResultSet found = connection.createStatement().executeQuery("SELECT current_user, 6 * 7")) {
            found.next();
            System.out.println(found.getString(1) + " " + found.getInt(2));
        }
    }
}
