// The sample service in Go: one route that greets in JSON.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
)

func greet(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"message": "Hello goni!", "status": "success"})
}

func main() {
	router := gin.Default()
	router.GET("/", greet)
	if err := router.Run(":8080"); err != nil {
		log.Fatal(err)
	}
}
